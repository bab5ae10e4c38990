// How threads share a call: chunks from one counter, so that a slow thread takes fewer, then a barrier.
// Waiting spins for a bounded time and then sleeps, so that a thread that lost its core costs no more than that.
import {
  arrivedWord,
  barrierSpins,
  claimWord,
  failedWord,
  generationWord,
  idleSpins,
  jobWord,
  sleepersWord,
  threadCount,
} from "./control";

/** Nanoseconds after which a sleeping thread looks whether another has failed. */
const napNs: i64 = 50_000_000;

/** The next chunk of the call at hand, from 0. */
export function claim(): i32 {
  if (SHARED) return atomic.add<i32>(claimWord, 1);
  const chunk = load<i32>(claimWord);
  store<i32>(claimWord, chunk + 1);
  return chunk;
}

/** Returns once every thread has arrived; the chunk counter is then 0 again. Traps if another thread failed. */
export function barrier(): void {
  if (SHARED) {
    const generation = atomic.load<i32>(generationWord);
    if (atomic.add<i32>(arrivedWord, 1) + 1 == threadCount()) {
      // Nobody claims or arrives until the generation changes.
      atomic.store<i32>(claimWord, 0);
      atomic.store<i32>(arrivedWord, 0);
      atomic.store<i32>(generationWord, generation + 1);
      // A sleeper counts itself before it compares the generation, so none is missed here.
      if (atomic.load<i32>(sleepersWord) > 0) atomic.notify(generationWord, -1);
      return;
    }
    for (let spins = barrierSpins(); spins > 0; spins--) {
      if (atomic.load<i32>(generationWord) != generation) return;
    }
    atomic.add<i32>(sleepersWord, 1);
    while (atomic.load<i32>(generationWord) == generation) {
      if (atomic.load<i32>(failedWord) != 0) unreachable();
      atomic.wait<i32>(generationWord, generation, napNs);
    }
    atomic.sub<i32>(sleepersWord, 1);
  } else {
    store<i32>(claimWord, 0);
  }
}

/** Waits until the posted job's number is not `seen`, and returns it. Only in builds with threads. */
export function awaitJob(seen: i32): i32 {
  if (SHARED) {
    for (let spins = idleSpins(); spins > 0; spins--) {
      const job = atomic.load<i32>(jobWord);
      if (job != seen) return job;
    }
    while (atomic.load<i32>(jobWord) == seen) atomic.wait<i32>(jobWord, seen, -1);
    return atomic.load<i32>(jobWord);
  }
  return seen;
}

/** Turns the waiting loop `turns` times, so that the caller can measure how long one takes. */
export function spin(turns: i32): i32 {
  if (SHARED) {
    for (; turns > 0; turns--) {
      if (atomic.load<i32>(failedWord) == -1) return turns;
    }
  }
  return turns;
}
