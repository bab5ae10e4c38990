// Included before all else where kernels are built for Bochs 3.0, of which two things are wrong.
//
// - vcvtne2ps2bf16: the upper half of its result comes from the source of the lower, not from its own (seen with numbers
//   1…16 and 100…115, whatever the registers). Two vcvtneps2bf16, which are right, stand in for it.
// - tdpbssd, tdpbsud and tdpbusd take all bytes as unsigned (seen with numbers of either sign). tdpbssd runs all the
//   same; what it gives must be the unsigned sums, and has then the difference taken off.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>

__attribute__((target("avx512f,avx512bf16,avx512vl"), always_inline)) static inline __m512bh roundTwo(__m512 high,
                                                                                                   __m512 low) {
  const __m256i first = (__m256i)_mm512_cvtneps_pbh(low), second = (__m256i)_mm512_cvtneps_pbh(high);
  return (__m512bh)_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}
#define _mm512_cvtne2ps_pbh(high, low) roundTwo(high, low)

extern "C" {
/// The tiles of one tdpbssd, rows of 64 bytes, zeros where a tile has no more; its sums before and after.
alignas(64) inline uint8_t bochsA[16][64], bochsB[16][64];
alignas(64) inline uint32_t bochsBefore[16][16], bochsAfter[16][16];

/// Stops where the sums after are not the unsigned ones; then makes them the signed ones. Called from between any two
/// instructions, so vector registers are not for it.
__attribute__((target("general-regs-only"), used, noinline)) inline void bochsCorrect() {
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 16; ++n) {
      uint32_t asUnsigned = bochsBefore[m][n], asSigned = bochsBefore[m][n];
      for (int i = 0; i < 64; ++i) {
        const uint8_t x = bochsA[m][i], y = bochsB[i / 4][4 * n + i % 4];
        if (x == 0) continue;
        asUnsigned += uint32_t(x) * y;
        asSigned += uint32_t(int8_t(x) * int8_t(y));
      }
      if (bochsAfter[m][n] != asUnsigned) __builtin_trap();
      bochsAfter[m][n] = asSigned;
    }
  }
  for (int i = 0; i < 1024; ++i) bochsA[i / 64][i % 64] = bochsB[i / 64][i % 64] = 0;
}
}

// A macro of the assembler by the instruction's name. The instruction itself is not meant where a prefix comes first.
// Below the stack's end lie 128 bytes that a function may use.
__asm__(R"(
.macro tdpbssd b, a, sum
  lea -128(%rsp), %rsp
  push %rax
  push %rcx
  push %rdx
  push %rsi
  push %rdi
  push %r8
  push %r9
  push %r10
  push %r11
  mov $64, %eax
  lea bochsA(%rip), %rcx
  tilestored \a, (%rcx,%rax,1)
  lea bochsB(%rip), %rcx
  tilestored \b, (%rcx,%rax,1)
  lea bochsBefore(%rip), %rcx
  tilestored \sum, (%rcx,%rax,1)
  {vex} tdpbssd \b, \a, \sum
  lea bochsAfter(%rip), %rcx
  tilestored \sum, (%rcx,%rax,1)
  call bochsCorrect
  mov $64, %eax
  lea bochsAfter(%rip), %rcx
  tileloadd (%rcx,%rax,1), \sum
  pop %r11
  pop %r10
  pop %r9
  pop %r8
  pop %rdi
  pop %rsi
  pop %rdx
  pop %rcx
  pop %rax
  lea 128(%rsp), %rsp
.endm
)");
#endif
