// The registers of NEON: four weight rows each, so four registers to a group. Included by the files of all levels of
// AArch64 inside their namespaces, which define TARGET, CLAVIS_DOTPROD where sdot may be used, and CLAVIS_SMMLA where
// smmla may; so no include guard.

#define METHOD TARGET inline __attribute__((always_inline))
#define LANES static METHOD

/// Described in matmul-portable.cc.
struct Vec {
  static constexpr size_t lanes = 4;
  // Of 32 registers: eight sums (twice that without sdot), eight results and the weights.
#if defined(CLAVIS_SMMLA)
  static constexpr int mostRows = 8, manyParts = 1, fewParts = 4;
  static constexpr bool squares = true;
#else
  static constexpr int mostRows = 4, manyParts = 2, fewParts = 4;
  static constexpr bool squares = false;
#endif
  static constexpr int floatRows = 2;
  static constexpr bool signedBytes = true;
  static constexpr bool startsLate = false;
  static constexpr bool widens = false;

  using Codes = uint32x4_t;
  using Floats = float32x4_t;

  LANES int8x16_t bytes(Codes x) { return vreinterpretq_s8_u32(x); }

  LANES Codes load(const uint8_t* at) { return vreinterpretq_u32_u8(vld1q_u8(at)); }
  LANES Codes loadShorts(const uint8_t* at) { return vmovl_u16(vreinterpret_u16_u8(vld1_u8(at))); }
  LANES Codes zeroWords() { return vdupq_n_u32(0); }
  LANES Codes splatWord(uint32_t word) { return vdupq_n_u32(word); }
  LANES Codes shiftLeft(Codes x, int n) { return x << n; }
  LANES Codes shiftRight(Codes x, int n) { return x >> n; }
  LANES Codes shiftRightSigned(Codes x, int n) { return vreinterpretq_u32_s32(vreinterpretq_s32_u32(x) >> n); }
  LANES Codes either(Codes x, Codes y) { return vorrq_u32(x, y); }
  LANES Codes andBytes(Codes x, uint8_t byte) { return vandq_u32(x, splatWord(byte * 0x01010101u)); }
  LANES Codes andBytes32(Codes x, uint32_t word) { return vandq_u32(x, splatWord(word)); }
  LANES Codes flipBytes(Codes x, uint8_t byte) { return veorq_u32(x, splatWord(byte * 0x01010101u)); }
  LANES Codes lookup(const int8_t (&table)[16], Codes x) {
    return vreinterpretq_u32_s8(vqtbl1q_s8(vld1q_s8(table), vreinterpretq_u8_u32(x)));
  }
  LANES Codes dotPairs(Codes x, Codes y) {
    const int16x8_t a = vreinterpretq_s16_u32(x), b = vreinterpretq_s16_u32(y);
    return vreinterpretq_u32_s32(vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b)));
  }
  LANES Codes addWords(Codes x, Codes y) { return vaddq_u32(x, y); }
  LANES Codes larger(Codes x, Codes y) { return vmaxq_u32(x, y); }
  LANES uint32_t largestWord(Codes x) { return vmaxvq_u32(x); }
  LANES int32_t sumOfWords(Codes x) { return vaddvq_s32(vreinterpretq_s32_u32(x)); }
  LANES void storeBytes(int8_t* to, Codes x) {
    const uint16x4_t shorts = vmovn_u32(x);
    const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(shorts, shorts))), 0);
    std::memcpy(to, &four, 4);
  }

  LANES Floats splat(float value) { return vdupq_n_f32(value); }
  LANES Floats loadFloats(const uint8_t* at) { return vreinterpretq_f32_u8(vld1q_u8(at)); }
  LANES void store(float* to, Floats x) { vst1q_f32(to, x); }
  LANES Floats halves(const uint8_t* at) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at))); }
  LANES Floats finiteHalves(const uint8_t* at) {
    const Codes bits = loadShorts(at);
    const Floats magnitude = vmulq_f32(fromBits(shiftLeft(andBytes32(bits, 0x7fff), 13)), splat(0x1p112f));
    return fromBits(either(toBits(magnitude), shiftLeft(andBytes32(bits, 0x8000), 16)));
  }
  LANES Floats exponents(const uint8_t* at) {
    const uint32x2_t four = vdup_n_u32(loadAs<uint32_t>(at));
    const Codes e = vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(four))));
    const Codes subnormal = vshlq_u32(splatWord(0x200000), vreinterpretq_s32_u32(e));
    const Codes normal = shiftLeft(vsubq_u32(e, splatWord(1)), 23);
    return fromBits(vbslq_u32(vcgtq_u32(e, splatWord(1)), normal, subnormal));
  }
  LANES Floats fromBits(Codes x) { return vreinterpretq_f32_u32(x); }
  LANES Codes toBits(Floats x) { return vreinterpretq_u32_f32(x); }
  LANES Floats toFloat(Codes x) { return vcvtq_f32_s32(vreinterpretq_s32_u32(x)); }
  LANES Codes nearest(Floats x) { return vreinterpretq_u32_s32(vcvtnq_s32_f32(x)); }
  LANES Floats add(Floats x, Floats y) { return vaddq_f32(x, y); }
  LANES Floats mul(Floats x, Floats y) { return vmulq_f32(x, y); }
  LANES Floats negate(Floats x) { return vnegq_f32(x); }

#if defined(CLAVIS_DOTPROD)
  template <int bits, int units>
  struct Dot {
    int32x4_t sum;
    METHOD void start(Codes first) { sum = vreinterpretq_s32_u32(first); }
    METHOD void add(Codes q, Codes x, int) { sum = vdotq_s32(sum, bytes(q), bytes(x)); }
    METHOD Codes finish() { return vreinterpretq_u32_s32(sum); }
  };

#if defined(CLAVIS_SMMLA)
  /// The words of both, in turn: of the first two lanes, and of the last two.
  LANES Codes lowWords(Codes x, Codes y) { return vzip1q_u32(x, y); }
  LANES Codes highWords(Codes x, Codes y) { return vzip2q_u32(x, y); }
  /// The first two lanes of both.
  LANES Codes lowHalves(Codes x, Codes y) {
    return vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)));
  }
  LANES Codes highHalves(Codes x, Codes y) {
    return vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)));
  }
  /// Eight bytes from each.
  LANES Codes joined(const uint8_t* one, const uint8_t* two) {
    return vreinterpretq_u32_u8(vcombine_u8(vld1_u8(one), vld1_u8(two)));
  }

  /// Running sums of products of two rows of activations with four weight rows: of either with the first two, then of
  /// either with the last two.
  struct Square {
    int32x4_t low, high;
    METHOD void start(Codes from) { low = high = vreinterpretq_s32_u32(from); }
    /// Adds eight products each. q: eight codes of two weight rows; x: the same of both activation rows.
    METHOD void add(Codes lowQ, Codes highQ, Codes x) {
      low = vmmlaq_s32(low, bytes(x), bytes(lowQ));
      high = vmmlaq_s32(high, bytes(x), bytes(highQ));
    }
    /// Of the first activation row with all four, and of the second.
    METHOD Codes first() { return lowHalves(vreinterpretq_u32_s32(low), vreinterpretq_u32_s32(high)); }
    METHOD Codes second() { return highHalves(vreinterpretq_u32_s32(low), vreinterpretq_u32_s32(high)); }
  };
#endif
#else
  /// Two rows to a register, in pairs of products.
  template <int bits, int units>
  struct Dot {
    int32x4_t first;
    int32x4_t low;
    int32x4_t high;
    METHOD void start(Codes from) {
      first = vreinterpretq_s32_u32(from);
      low = high = vdupq_n_s32(0);
    }
    METHOD void add(Codes q, Codes x, int) {
      const int8x16_t a = bytes(q), b = bytes(x);
      low = vpadalq_s16(low, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
      high = vpadalq_s16(high, vmull_high_s8(a, b));
    }
    METHOD Codes finish() { return vreinterpretq_u32_s32(vaddq_s32(first, vpaddq_s32(low, high))); }
  };
#endif
};

#undef METHOD
#undef LANES
