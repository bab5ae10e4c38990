// The threads that compute: one team for the whole process, shared by all models.
//
// A job is a sequence of phases, a phase a number of chunks. Threads claim chunks one at a time, so a slow thread
// takes fewer; whoever finishes a phase's last chunk prepares the next phase, and does alone what is too small to
// share. Nobody waits for a thread that holds no chunk, where a barrier would make all wait in every phase.
//
// A thread that holds one when the system stops it, to let another process run on its core, delays all others until it
// goes on: some milliseconds, against some ten microseconds for a chunk. Two things are done about that. Threads give
// their core away by themselves now and then, between two chunks, and a little before the system would take it (Shift
// in threads.cc). And threads that still cost the others more waiting than they take work off them are left out for a
// while (Roster). Neither changes what is computed: that never depends on who computes it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace clavis {

using Clock = std::chrono::steady_clock;

/// Work for the team. Its functions run on threads of the team, never two jobs at a time.
class Job {
 public:
  explicit Job(unsigned threads) : threads_(threads) {}
  virtual ~Job() = default;

  /// Prepares the next phase, doing by itself what is not worth sharing. Called by one thread, when every chunk of
  /// the phase before is done.
  ///
  /// @returns chunks of the phase, below 2^24; 0 ends the job
  virtual uint32_t advance(unsigned thread) = 0;

  /// Runs one chunk of the phase; several threads at a time, 0 ≤ thread < threads().
  virtual void chunk(uint32_t chunk, unsigned thread) = 0;

  /// The job is done. It may be destroyed here.
  virtual void finish() = 0;

  /// How many threads may work on it.
  unsigned threads() const { return threads_; }

 private:
  friend class Team;
  unsigned threads_;
  Job* next_ = nullptr;
};

/// As many as a word has bits.
constexpr unsigned mostThreads = 64;

/// Who takes part: leaves out a thread that others wait for longer than its work would take them, and tries it again
/// later. Its functions are called by one thread at a time, between phases, but for those that say otherwise.
class Roster {
 public:
  /// A phase of several chunks has ended.
  ///
  /// @param last    who finished its last chunk
  /// @param took    how long the phase took
  /// @param waited  how much of that after all other chunks were done
  void phaseEnded(unsigned last, Clock::duration took, Clock::duration waited, Clock::time_point now);

  /// A chunk was done. Called by each thread for itself, within a phase.
  void chunkDone(unsigned thread) { tallies_[thread].chunks++; }

  /// A bit for each thread that is left out. Any thread may ask.
  uint64_t resting() const { return resting_.load(std::memory_order_relaxed); }

 private:
  /// What a thread did since the last judgement; each one writes to a cache line of its own.
  struct alignas(64) Tally {
    uint64_t chunks = 0;
    Clock::duration waited{};   // for this thread
    Clock::time_point until{};  // when it is tried again
    Clock::duration pause{};    // how long it was left out
  };

  void judge(Clock::time_point now);

  std::atomic<uint64_t> resting_{0};
  Clock::duration worked_{};
  Tally tallies_[mostThreads];
};

class Team {
 public:
  static constexpr unsigned mostThreads = clavis::mostThreads;

  /// The team of this process. It is never destroyed: its threads may be asleep when the process ends.
  static Team& instance();

  /// Starts threads until there are at least `threads`; fewer where the system has no more.
  ///
  /// @returns how many of them a job can have; 0 only if not even one could be started
  unsigned grow(unsigned threads);

  /// Puts a job behind those that wait. Any thread may call it.
  void submit(Job* job);

 private:
  void work(unsigned thread);
  void finishPhase(unsigned thread, Clock::time_point now, Clock::duration waited);
  void publish(unsigned threads, uint32_t chunks);
  uint64_t awaitWork(unsigned thread);
  bool mine(uint64_t ticket, unsigned thread) const;

  // Phase number (32 bits), threads that may take part (8), chunks not yet claimed (24). Phase numbers go on over all
  // jobs, so that an outdated value never looks like a current one.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  std::atomic<Clock::rep> doneAt_{0};  // when the last chunk so far was done
  alignas(64) std::atomic<uint64_t> sleepers_{0};  // a bit for each sleeping thread
  std::atomic<uint32_t> wakeups_{0};
  // Written between phases only; whoever holds a chunk may read them.
  alignas(64) Job* job_ = nullptr;
  uint32_t chunks_ = 0;
  bool started_ = false;  // whether the job has prepared a phase yet
  Clock::time_point phaseStart_{};
  Roster roster_;

  std::mutex mutex_;  // the members below
  Job* first_ = nullptr;
  Job* last_ = nullptr;
  bool busy_ = false;
  unsigned threads_ = 0;
};

}  // namespace clavis
