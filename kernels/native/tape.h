// The one interpreter of the tape (src/plan/tape.ts): all calls of a step, shared among the threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "program.h"

namespace clavis {

/// A run of one step. Each call is cut into chunks by its shape and level alone; calls of one chunk are run by the
/// thread that finished the call before, which is most of what lies between two products when one token is generated.
/// A product of many rows whose kernels rewrite activations is two phases: rewriting, and multiplying; so is one of
/// experts: ordering the tokens by them, and multiplying.
class TapeRun {
 public:
  explicit TapeRun(const Program& program) : program_(program) {}

  /// Goes on to the next phase that is worth sharing, running those before it; returns its chunks, 0 after the last.
  uint32_t advance(unsigned thread);

  /// Runs one chunk of that phase.
  void chunk(uint32_t chunk, unsigned thread) const;

 private:
  Call call() const { return {program_, program_.tape + at_ * tapeWords}; }
  void begin(size_t at);
  void next();

  const Program& program_;
  size_t at_ = 0;
  bool preparing_ = false;  // in the first of the call's two phases
  bool started_ = false;
};

/// Bytes of scratch that a thread needs for every call of the tape, for steps of up to `tokens` tokens that see up to
/// `positions` positions. A multiple of 64.
size_t tapeScratch(const Program& program, size_t tokens, size_t positions);

/// Bytes that any product needs to prepare itself, for steps of up to `tokens` tokens: activations as its kernels for
/// many rows take them, or the order of its experts; 0 where none does.
size_t tapePrepared(const Program& program, size_t tokens);

}  // namespace clavis
