// The eight tile registers of AMX, as far as products of bf16 and of signed bytes need them, twice: the instructions
// themselves, and a model of them in plain C++, so that everything around them is tested on processors without AMX.
// Included by matmul-amx-bf16.cc, matmul-amx-int8.cc and attention-amx.cc inside their namespaces, after TARGET has been
// defined.
//
// A tile has up to 16 rows of up to 64 bytes. Its number is part of the instruction, hence a template parameter.
// Source: Intel SDM volume 2 (LDTILECFG, TILELOADD, TILESTORED, TDPBF16PS, TDPBSSD), volume 1 chapter 18.

#define TILE_OP TARGET static inline __attribute__((always_inline))

/// What LDTILECFG reads: which form each tile has.
struct alignas(64) TileForm {
  uint8_t palette = 1;
  uint8_t startRow = 0;
  uint8_t reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileForm) == 64);

/// The instructions. As text, because gcc's intrinsics take a tile's number only as a literal.
struct Tiles {
  TILE_OP void configure(const TileForm& form) { __asm__ volatile("ldtilecfg %0" : : "m"(form)); }
  /// Gives the tiles up, so that the system need not save them when it switches threads.
  TILE_OP void release() { __asm__ volatile("tilerelease"); }
  template <int tile>
  TILE_OP void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  /// Row i of the tile from the 64 bytes at from + i · stride.
  template <int tile>
  TILE_OP void load(const void* from, size_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
  }
  template <int tile>
  TILE_OP void store(void* to, size_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
  }
  /// sum[m][n] += Σ_k a[m][2k] · b[k][2n] + a[m][2k + 1] · b[k][2n + 1], k = 0…15: a and b hold bf16, sum f32.
  template <int sum, int a, int b>
  TILE_OP void dot() {
    __asm__ volatile("tdpbf16ps %%tmm%c0, %%tmm%c1, %%tmm%c2" : : "i"(b), "i"(a), "i"(sum));
  }
  /// sum[m][n] += Σ_k Σ_i a[m][4k + i] · b[k][4n + i], i = 0…3, k below the rows of b: a and b hold i8, sum i32.
  template <int sum, int a, int b>
  TILE_OP void dotBytes() {
    __asm__ volatile("tdpbssd %%tmm%c0, %%tmm%c1, %%tmm%c2" : : "i"(b), "i"(a), "i"(sum));
  }
};

/// The model. Of bf16, numbers too small for an ordinary exponent are read, and written, as zero; a pair's two columns
/// of products are summed apart, each product fused with its sum, and joined last.
struct ModelTiles {
  struct Tile {
    size_t rows, rowBytes;
    alignas(64) uint8_t bytes[16][64];
  };

  static Tile& at(int tile) {
    static thread_local Tile tiles[8];
    return tiles[tile];
  }
  static float flushed(float x) {
    return (floatToBits(x) & 0x7f800000) == 0 ? bitsToFloat(floatToBits(x) & 0x80000000) : x;
  }

  static void configure(const TileForm& form) {
    for (int i = 0; i < 8; ++i) at(i) = Tile{form.rows[i], form.rowBytes[i], {}};
  }
  static void release() {
    for (int i = 0; i < 8; ++i) at(i) = Tile{};
  }
  template <int tile>
  static void zero() {
    std::memset(at(tile).bytes, 0, sizeof at(tile).bytes);
  }
  template <int tile>
  static void load(const void* from, size_t stride) {
    Tile& t = at(tile);
    zero<tile>();
    for (size_t i = 0; i < t.rows; ++i) {
      std::memcpy(t.bytes[i], static_cast<const uint8_t*>(from) + i * stride, t.rowBytes);
    }
  }
  template <int tile>
  static void store(void* to, size_t stride) {
    const Tile& t = at(tile);
    for (size_t i = 0; i < t.rows; ++i) std::memcpy(static_cast<uint8_t*>(to) + i * stride, t.bytes[i], t.rowBytes);
  }
  /// Stops where the forms of three tiles do not fit together, as the instructions do.
  static void checkForms(const Tile& sum, const Tile& a, const Tile& b) {
    if (a.rows != sum.rows || b.rowBytes != sum.rowBytes || a.rowBytes != 4 * b.rows) __builtin_trap();
  }
  template <int sum, int a, int b>
  TARGET static void dot() {
    Tile& t = at(sum);
    checkForms(t, at(a), at(b));
    // The second factor as floats, once for all rows: [k][pair's half][n].
    float second[16][2][16] = {};
    const size_t pairs = at(a).rowBytes / 4, columns = t.rowBytes / 4;
    for (size_t k = 0; k < pairs; ++k) {
      for (size_t n = 0; n < columns; ++n) {
        const uint32_t both = loadAs<uint32_t>(at(b).bytes[k] + 4 * n);
        second[k][0][n] = flushed(bitsToFloat(both << 16));
        second[k][1][n] = flushed(bitsToFloat(both & 0xffff0000));
      }
    }
    for (size_t m = 0; m < t.rows; ++m) {
      float products[2][16] = {};
      for (size_t k = 0; k < pairs; ++k) {
        const uint32_t both = loadAs<uint32_t>(at(a).bytes[m] + 4 * k);
        const float first[2] = {flushed(bitsToFloat(both << 16)), flushed(bitsToFloat(both & 0xffff0000))};
        for (int half = 0; half < 2; ++half) {
          for (size_t n = 0; n < 16; ++n) {
            products[half][n] = flushed(__builtin_fmaf(first[half], second[k][half][n], products[half][n]));
          }
        }
      }
      for (size_t n = 0; n < columns; ++n) {
        const float joined = flushed(products[0][n] + products[1][n]);
        const float before = flushed(loadAs<float>(t.bytes[m] + 4 * n));
        const float after = flushed(before + joined);
        std::memcpy(t.bytes[m] + 4 * n, &after, sizeof after);
      }
    }
  }
  template <int sum, int a, int b>
  TARGET static void dotBytes() {
    Tile& t = at(sum);
    checkForms(t, at(a), at(b));
    for (size_t m = 0; m < t.rows; ++m) {
      for (size_t n = 0; n < t.rowBytes / 4; ++n) {
        auto total = loadAs<uint32_t>(t.bytes[m] + 4 * n);
        for (size_t i = 0; i < at(a).rowBytes; ++i) {
          const auto x = int8_t(at(a).bytes[m][i]), y = int8_t(at(b).bytes[i / 4][4 * n + i % 4]);
          total += uint32_t(x * y);
        }
        std::memcpy(t.bytes[m] + 4 * n, &total, sizeof total);
      }
    }
  }
};
