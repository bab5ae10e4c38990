// Sixteen lanes of f32 or i32 at one level of instructions: one AVX-512 register, two of AVX2, four of SSE2 or NEON.
// Included by rows-*.h files of a level, inside its namespace and under its target; no guard against repetition.
//
// Every function is one rounded operation per lane, so all levels give the same bits.
// CLAVIS_LANES: 16 AVX-512, 8 AVX2, 4 SSE2 or NEON.

#if CLAVIS_LANES == 16

using R = __m512;
using W = __m512i;
inline R rLoad(const float* p) { return _mm512_loadu_ps(p); }
inline void rStore(float* p, R x) { _mm512_storeu_ps(p, x); }
inline R rSplat(float x) { return _mm512_set1_ps(x); }
inline R rAdd(R x, R y) { return _mm512_add_ps(x, y); }
inline R rSub(R x, R y) { return _mm512_sub_ps(x, y); }
inline R rMul(R x, R y) { return _mm512_mul_ps(x, y); }
inline R rDiv(R x, R y) { return _mm512_div_ps(x, y); }
inline R rMax(R x, R y) { return _mm512_max_ps(x, y); }
inline R rAbs(R x) { return _mm512_abs_ps(x); }
inline R rAbove(R x, R limit, R then, R otherwise) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, limit, _CMP_GT_OQ), otherwise, then);
}
inline W rRound(R x) { return _mm512_cvtps_epi32(x); }
inline R rFloat(W x) { return _mm512_cvtepi32_ps(x); }
inline W wAdd(W x, W y) { return _mm512_add_epi32(x, y); }
inline W wSub(W x, W y) { return _mm512_sub_epi32(x, y); }
inline W wSplat(int32_t x) { return _mm512_set1_epi32(x); }
inline W wHalf(W x) { return _mm512_srai_epi32(x, 1); }
inline R wExponent(W x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 23)); }

#elif CLAVIS_LANES == 8

using R = __m256;
using W = __m256i;
inline R rLoad(const float* p) { return _mm256_loadu_ps(p); }
inline void rStore(float* p, R x) { _mm256_storeu_ps(p, x); }
inline R rSplat(float x) { return _mm256_set1_ps(x); }
inline R rAdd(R x, R y) { return _mm256_add_ps(x, y); }
inline R rSub(R x, R y) { return _mm256_sub_ps(x, y); }
inline R rMul(R x, R y) { return _mm256_mul_ps(x, y); }
inline R rDiv(R x, R y) { return _mm256_div_ps(x, y); }
inline R rMax(R x, R y) { return _mm256_max_ps(x, y); }
inline R rAbs(R x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
inline R rAbove(R x, R limit, R then, R otherwise) {
  return _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps(x, limit, _CMP_GT_OQ));
}
inline W rRound(R x) { return _mm256_cvtps_epi32(x); }
inline R rFloat(W x) { return _mm256_cvtepi32_ps(x); }
inline W wAdd(W x, W y) { return _mm256_add_epi32(x, y); }
inline W wSub(W x, W y) { return _mm256_sub_epi32(x, y); }
inline W wSplat(int32_t x) { return _mm256_set1_epi32(x); }
inline W wHalf(W x) { return _mm256_srai_epi32(x, 1); }
inline R wExponent(W x) { return _mm256_castsi256_ps(_mm256_slli_epi32(x, 23)); }

#elif defined(__aarch64__)

using R = float32x4_t;
using W = int32x4_t;
inline R rLoad(const float* p) { return vld1q_f32(p); }
inline void rStore(float* p, R x) { vst1q_f32(p, x); }
inline R rSplat(float x) { return vdupq_n_f32(x); }
inline R rAdd(R x, R y) { return vaddq_f32(x, y); }
inline R rSub(R x, R y) { return vsubq_f32(x, y); }
inline R rMul(R x, R y) { return vmulq_f32(x, y); }
inline R rDiv(R x, R y) { return vdivq_f32(x, y); }
inline R rMax(R x, R y) { return vmaxq_f32(x, y); }
inline R rAbs(R x) { return vabsq_f32(x); }
inline R rAbove(R x, R limit, R then, R otherwise) { return vbslq_f32(vcgtq_f32(x, limit), then, otherwise); }
inline W rRound(R x) { return vcvtnq_s32_f32(x); }
inline R rFloat(W x) { return vcvtq_f32_s32(x); }
inline W wAdd(W x, W y) { return vaddq_s32(x, y); }
inline W wSub(W x, W y) { return vsubq_s32(x, y); }
inline W wSplat(int32_t x) { return vdupq_n_s32(x); }
inline W wHalf(W x) { return vshrq_n_s32(x, 1); }
inline R wExponent(W x) { return vreinterpretq_f32_s32(vshlq_n_s32(x, 23)); }

#elif defined(__x86_64__)

using R = __m128;
using W = __m128i;
inline R rLoad(const float* p) { return _mm_loadu_ps(p); }
inline void rStore(float* p, R x) { _mm_storeu_ps(p, x); }
inline R rSplat(float x) { return _mm_set1_ps(x); }
inline R rAdd(R x, R y) { return _mm_add_ps(x, y); }
inline R rSub(R x, R y) { return _mm_sub_ps(x, y); }
inline R rMul(R x, R y) { return _mm_mul_ps(x, y); }
inline R rDiv(R x, R y) { return _mm_div_ps(x, y); }
inline R rMax(R x, R y) { return _mm_max_ps(x, y); }
inline R rAbs(R x) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), x); }
inline R rAbove(R x, R limit, R then, R otherwise) {
  const R mask = _mm_cmpgt_ps(x, limit);
  return _mm_or_ps(_mm_and_ps(mask, then), _mm_andnot_ps(mask, otherwise));
}
inline W rRound(R x) { return _mm_cvtps_epi32(x); }
inline R rFloat(W x) { return _mm_cvtepi32_ps(x); }
inline W wAdd(W x, W y) { return _mm_add_epi32(x, y); }
inline W wSub(W x, W y) { return _mm_sub_epi32(x, y); }
inline W wSplat(int32_t x) { return _mm_set1_epi32(x); }
inline W wHalf(W x) { return _mm_srai_epi32(x, 1); }
inline R wExponent(W x) { return _mm_castsi128_ps(_mm_slli_epi32(x, 23)); }

#endif

// ---- sixteen lanes of those registers

#if CLAVIS_LANES == 16

struct F { R a; };
struct I { W a; };
#define CLAVIS_EACH(expression) {expression(a)}

#elif CLAVIS_LANES == 8

struct F { R a, b; };
struct I { W a, b; };
#define CLAVIS_EACH(expression) {expression(a), expression(b)}

#else

struct F { R a, b, c, d; };
struct I { W a, b, c, d; };
#define CLAVIS_EACH(expression) {expression(a), expression(b), expression(c), expression(d)}

#endif

#define CLAVIS_UNARY(result, name, operand, op)             \
  inline result name(operand x) {                           \
    return CLAVIS_EACH(CLAVIS_UNARY_##op);                  \
  }
#define CLAVIS_UNARY_rAbs(r) rAbs(x.r)
#define CLAVIS_UNARY_rRound(r) rRound(x.r)
#define CLAVIS_UNARY_rFloat(r) rFloat(x.r)
#define CLAVIS_UNARY_wHalf(r) wHalf(x.r)
#define CLAVIS_UNARY_wExponent(r) wExponent(x.r)
#define CLAVIS_BINARY_rAdd(r) rAdd(x.r, y.r)
#define CLAVIS_BINARY_rSub(r) rSub(x.r, y.r)
#define CLAVIS_BINARY_rMul(r) rMul(x.r, y.r)
#define CLAVIS_BINARY_rDiv(r) rDiv(x.r, y.r)
#define CLAVIS_BINARY_rMax(r) rMax(x.r, y.r)
#define CLAVIS_BINARY_wAdd(r) wAdd(x.r, y.r)
#define CLAVIS_BINARY_wSub(r) wSub(x.r, y.r)
#define CLAVIS_BINARY(type, name, op)                       \
  inline type name(type x, type y) {                        \
    return CLAVIS_EACH(CLAVIS_BINARY_##op);                 \
  }

CLAVIS_UNARY(F, magnitude, F, rAbs)
CLAVIS_UNARY(I, toInt, F, rRound)  // to nearest, ties to even
CLAVIS_UNARY(F, toFloat, I, rFloat)
CLAVIS_UNARY(I, halved, I, wHalf)  // rounded down
CLAVIS_UNARY(F, asExponent, I, wExponent)
CLAVIS_BINARY(F, operator+, rAdd)
CLAVIS_BINARY(F, operator-, rSub)
CLAVIS_BINARY(F, operator*, rMul)
CLAVIS_BINARY(F, operator/, rDiv)
CLAVIS_BINARY(F, larger, rMax)
CLAVIS_BINARY(I, operator+, wAdd)
CLAVIS_BINARY(I, operator-, wSub)

inline F splat(float x) {
#define CLAVIS_SPLAT(r) rSplat(x)
  return CLAVIS_EACH(CLAVIS_SPLAT);
}
inline I splatInt(int32_t x) {
#define CLAVIS_SPLAT_INT(r) wSplat(x)
  return CLAVIS_EACH(CLAVIS_SPLAT_INT);
}
/// x > limit ? then : otherwise; NaN is not above.
inline F above(F x, F limit, F then, F otherwise) {
#define CLAVIS_ABOVE(r) rAbove(x.r, limit.r, then.r, otherwise.r)
  return CLAVIS_EACH(CLAVIS_ABOVE);
}

#if CLAVIS_LANES == 16

inline F load(const float* p) { return {rLoad(p)}; }
inline void store(float* p, F x) { rStore(p, x.a); }
inline F loadPart(const float* p, size_t count) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p)};
}
inline void storePart(float* p, F x, size_t count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), x.a);
}

#else

inline F load(const float* p) {
#if CLAVIS_LANES == 8
  return {rLoad(p), rLoad(p + 8)};
#else
  return {rLoad(p), rLoad(p + 4), rLoad(p + 8), rLoad(p + 12)};
#endif
}
inline void store(float* p, F x) {
  rStore(p, x.a);
#if CLAVIS_LANES == 8
  rStore(p + 8, x.b);
#else
  rStore(p + 4, x.b);
  rStore(p + 8, x.c);
  rStore(p + 12, x.d);
#endif
}
/// The first `count` (below 16) values, zeros in the other lanes.
inline F loadPart(const float* p, size_t count) {
  alignas(64) float lanes[16] = {};
  std::memcpy(lanes, p, count * sizeof(float));
  return load(lanes);
}
/// Writes the first `count` (below 16) lanes.
inline void storePart(float* p, F x, size_t count) {
  alignas(64) float lanes[16];
  store(lanes, x);
  std::memcpy(p, lanes, count * sizeof(float));
}

#endif

/// The tree that ends sum16: lane i takes lane i + 8, then i + 4, i + 2 and i + 1.
inline float join(F x) {
#if defined(__aarch64__)
  const float32x4_t t = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  const float32x2_t u = vadd_f32(vget_low_f32(t), vget_high_f32(t));
  return vget_lane_f32(u, 0) + vget_lane_f32(u, 1);
#elif defined(__x86_64__)
#if CLAVIS_LANES == 16
  const __m256 s = _mm256_add_ps(_mm512_castps512_ps256(x.a), _mm512_extractf32x8_ps(x.a, 1));
  const __m128 t = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
#elif CLAVIS_LANES == 8
  const __m256 s = _mm256_add_ps(x.a, x.b);
  const __m128 t = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
#else
  const __m128 t = _mm_add_ps(_mm_add_ps(x.a, x.c), _mm_add_ps(x.b, x.d));
#endif
  const __m128 u = _mm_add_ps(t, _mm_movehl_ps(t, t));
  return _mm_cvtss_f32(_mm_add_ss(u, _mm_shuffle_ps(u, u, 1)));
#endif
}

/// The largest lane; of no use with NaN.
inline float largest(F x) {
  alignas(64) float lanes[16];
  store(lanes, x);
  float most = lanes[0];
  for (int i = 1; i < 16; i++) most = lanes[i] > most ? lanes[i] : most;
  return most;
}

/// Sixteen i8 as f32.
inline F fromCodes(const int8_t* p) {
#if CLAVIS_LANES == 16
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
#elif CLAVIS_LANES == 8
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)))};
#elif defined(__aarch64__)
  const int8x16_t codes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(codes)), high = vmovl_s8(vget_high_s8(codes));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
          vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))};
#else
  // To the upper byte of each lane, then shifted down with its sign.
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), none = _mm_setzero_si128();
  const __m128i low = _mm_unpacklo_epi8(none, codes), high = _mm_unpackhi_epi8(none, codes);
  const auto widen = [](__m128i x) { return _mm_cvtepi32_ps(_mm_srai_epi32(x, 24)); };
  return {widen(_mm_unpacklo_epi16(none, low)), widen(_mm_unpackhi_epi16(none, low)),
          widen(_mm_unpacklo_epi16(none, high)), widen(_mm_unpackhi_epi16(none, high))};
#endif
}

/// Sixteen binary16 as f32, exactly.
inline F fromHalves(const uint16_t* p) {
#if CLAVIS_LANES == 16
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
#elif CLAVIS_LANES == 8
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
#elif defined(__aarch64__)
  const auto widen = [](const uint16_t* q) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(q))); };
  return {widen(p), widen(p + 4), widen(p + 8), widen(p + 12)};
#else
  // As an f32, exponent and fraction moved up by 13 bits are 2^112 times too small, subnormals included; exponent 31
  // gets all bits of the wider exponent.
  const auto widen = [](__m128i h) {
    const __m128i moved = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x7fff)), 13);
    const __m128i sign = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x8000)), 16);
    const __m128i special = _mm_and_si128(_mm_cmpgt_epi32(moved, _mm_set1_epi32(0x0f7fffff)), _mm_set1_epi32(0x7f800000));
    const __m128 value = _mm_mul_ps(_mm_castsi128_ps(moved), _mm_set1_ps(0x1p112f));
    return _mm_or_ps(value, _mm_castsi128_ps(_mm_or_si128(special, sign)));
  };
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), none = _mm_setzero_si128();
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8));
  return {widen(_mm_unpacklo_epi16(low, none)), widen(_mm_unpackhi_epi16(low, none)),
          widen(_mm_unpacklo_epi16(high, none)), widen(_mm_unpackhi_epi16(high, none))};
#endif
}

#undef CLAVIS_EACH
#undef CLAVIS_UNARY
#undef CLAVIS_BINARY
