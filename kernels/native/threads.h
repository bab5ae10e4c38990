// The threads that compute: one team for the whole process, shared by all models.
//
// A job is a sequence of phases, a phase a number of chunks. Threads claim chunks one at a time, so a slow thread
// takes fewer; whoever finishes a phase's last chunk prepares the next phase, and does alone what is too small to
// share. Nobody waits for a thread that holds no chunk: one that has lost its core to another process delays the
// others by at most its chunk, where a barrier would make them wait for it in every phase.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace clavis {

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

class Team {
 public:
  /// As many as `sleepers_` has bits.
  static constexpr unsigned mostThreads = 64;

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
  void finishPhase(unsigned thread);
  void publish(unsigned threads, uint32_t chunks);
  uint64_t awaitWork(unsigned thread);

  // Phase number (32 bits), threads that may take part (8), chunks not yet claimed (24). Phase numbers go on over all
  // jobs, so that an outdated value never looks like a current one.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  alignas(64) std::atomic<uint64_t> sleepers_{0};  // a bit for each sleeping thread
  std::atomic<uint32_t> wakeups_{0};
  // Written between phases only; whoever holds a chunk may read them.
  alignas(64) Job* job_ = nullptr;
  uint32_t chunks_ = 0;
  bool started_ = false;  // whether the job has prepared a phase yet

  std::mutex mutex_;  // the members below
  Job* first_ = nullptr;
  Job* last_ = nullptr;
  bool busy_ = false;
  unsigned threads_ = 0;
};

}  // namespace clavis
