#include "threads.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <system_error>
#include <thread>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace clavis {

namespace {

// How long a thread without work looks for some. Phases follow one another within microseconds, tokens within some
// hundred; waking a sleeper takes 5 to 50 µs. While it yields, the JavaScript thread can have its core.
constexpr auto spinTime = std::chrono::microseconds(20);
constexpr auto yieldTime = std::chrono::microseconds(300);
/// Turns between two looks at the clock.
constexpr int turns = 32;

uint64_t ticketOf(uint64_t phase, unsigned threads, uint32_t chunks) {
  return (phase << 32) | (uint64_t{threads} << 24) | chunks;
}
uint32_t phaseOf(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }
unsigned threadsOf(uint64_t ticket) { return (ticket >> 24) & 0xff; }
uint32_t unclaimed(uint64_t ticket) { return ticket & 0xffffff; }

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");  // about as long as x86's pause; yield is a no-op on most cores
#endif
}

void sleepWhile(std::atomic<uint32_t>& word, uint32_t value) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
#else
  word.wait(value);
#endif
}

void wakeAll(std::atomic<uint32_t>& word) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
#else
  word.notify_all();
#endif
}

/// How often the system has stopped this thread to let another one run.
long timesStopped() {
#if defined(__linux__)
  rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
#else
  return 0;
#endif
}

/// A thread's turn on its core. Systems let a process run for 1 to 4 ms when another waits for its core; the turn is
/// made a quarter shorter than what was seen, and longer again little by little. Where nobody waits, giving the core
/// away takes a microsecond.
class Shift {
 public:
  /// The thread looks at its work after a pause.
  void begin() { start_ = last_ = Clock::now(); }

  /// When the thread last was between two chunks.
  Clock::time_point now() const { return last_; }

  /// A chunk is done.
  void chunkDone() {
    const Clock::time_point before = last_;
    last_ = Clock::now();
    // Chunks take microseconds; a long one, of a long prompt, is told from a stop by the system's own count.
    if (last_ - before < longChunk) return;
    const long stops = timesStopped();
    if (stops == stops_) return;
    stops_ = stops;
    length_ = std::clamp((before - start_) * 3 / 4, shortest, length_);
    start_ = last_;
  }

  /// Gives the core away, if it is time. The thread holds no chunk.
  void giveWay() {
    if (last_ - start_ < length_) return;
    std::this_thread::yield();
    begin();
    length_ = std::min(longest, length_ + growth);
  }

 private:
  static constexpr Clock::duration longest = std::chrono::microseconds(3000);
  static constexpr Clock::duration shortest = std::chrono::microseconds(500);
  static constexpr Clock::duration growth = std::chrono::microseconds(50);
  static constexpr Clock::duration longChunk = std::chrono::microseconds(500);

  Clock::time_point start_{}, last_{};
  Clock::duration length_ = longest;
  long stops_ = 0;
};

uint64_t bitsBelow(unsigned threads) {
  return threads < mostThreads ? (uint64_t{1} << threads) - 1 : ~uint64_t{0};
}

/// Those of a job's threads that take part: all but the resting ones, or all where none would be left.
uint64_t taking(uint64_t resting, unsigned threads) {
  const uint64_t all = bitsBelow(threads), left = all & ~resting;
  return left != 0 ? left : all;
}

/// Work after which the roster judges: several turns that a system gives, so that one stop decides nothing.
constexpr Clock::duration window = std::chrono::milliseconds(30);
/// How much shorter the work must have been without a thread for it to be left out.
constexpr double worthwhile = 0.9;
/// How long it is left out: twice as long each time that it does not pay again, and from the start once it has.
constexpr Clock::duration firstPause = std::chrono::milliseconds(50), longestPause = std::chrono::milliseconds(1600);

}  // namespace

void Roster::phaseEnded(unsigned last, Clock::duration took, Clock::duration waited, Clock::time_point now) {
  worked_ += took;
  tallies_[last].waited += waited;
  if (worked_ >= window) judge(now);
}

void Roster::judge(Clock::time_point now) {
  uint64_t all = 0;
  for (const Tally& tally : tallies_) all += tally.chunks;
  // Had a thread not been there, the others would have had its chunks to do, and nothing of it to wait for.
  unsigned worst = mostThreads;
  double least = worthwhile;
  uint64_t resting = resting_.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < mostThreads; i++) {
    Tally& tally = tallies_[i];
    if (now >= tally.until) resting &= ~(uint64_t{1} << i);
    if (tally.chunks > 0 && tally.chunks < all) {
      const double waited = static_cast<double>(tally.waited.count()) / static_cast<double>(worked_.count());
      const double without = (1 - waited) * static_cast<double>(all) / static_cast<double>(all - tally.chunks);
      if (without < least) {
        least = without;
        worst = i;
      } else if (without > 1) {
        tally.pause = {};
      }
    }
    tally.chunks = 0;
    tally.waited = {};
  }
  worked_ = {};
  if (worst < mostThreads) {
    Tally& tally = tallies_[worst];
    tally.pause = std::clamp(tally.pause * 2, firstPause, longestPause);
    tally.until = now + tally.pause;
    resting |= uint64_t{1} << worst;
  }
  resting_.store(resting, std::memory_order_relaxed);
}

Team& Team::instance() {
  static Team* team = new Team;
  return *team;
}

unsigned Team::grow(unsigned threads) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (threads > mostThreads) threads = mostThreads;
  while (threads_ < threads) {
    try {
      std::thread([this, thread = threads_] { work(thread); }).detach();
    } catch (const std::system_error&) {
      break;
    }
    threads_++;
  }
  return threads < threads_ ? threads : threads_;
}

void Team::submit(Job* job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    job->next_ = nullptr;
    if (busy_) {
      (last_ != nullptr ? last_->next_ : first_) = job;
      last_ = job;
      return;
    }
    busy_ = true;
  }
  job_ = job;
  started_ = false;
  // A phase of one empty chunk: the thread that claims it prepares the job's first.
  publish(job->threads(), 1);
}

void Team::publish(unsigned threads, uint32_t chunks) {
  chunks_ = chunks;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t phase = phaseOf(ticket_.load(std::memory_order_relaxed)) + uint64_t{1};
  ticket_.store(ticketOf(phase, threads, chunks));
  // A sleeper sets its bit before it looks at the ticket for the last time, so none is missed here.
  if ((sleepers_.load() & taking(roster_.resting(), threads)) != 0) {
    wakeups_.fetch_add(1);
    wakeAll(wakeups_);
  }
}

bool Team::mine(uint64_t ticket, unsigned thread) const {
  return unclaimed(ticket) > 0 && (taking(roster_.resting(), threadsOf(ticket)) >> thread & 1) != 0;
}

void Team::work(unsigned thread) {
  Shift shift;
  shift.begin();
  for (;;) {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    if (!mine(ticket, thread)) {
      ticket = awaitWork(thread);
      shift.begin();
    }
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
    // From here on the phase cannot end without this thread.
    const uint32_t chunks = chunks_;
    if (started_) {
      job_->chunk(unclaimed(ticket) - 1, thread);
      roster_.chunkDone(thread);
    }
    shift.chunkDone();
    const Clock::rep before = doneAt_.exchange(shift.now().time_since_epoch().count(), std::memory_order_relaxed);
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == chunks) {
      finishPhase(thread, shift.now(), Clock::duration(shift.now().time_since_epoch().count() - before));
    }
    if (threadsOf(ticket) > 1) shift.giveWay();
  }
}

void Team::finishPhase(unsigned thread, Clock::time_point now, Clock::duration waited) {
  if (started_ && chunks_ > 1 && job_->threads() > 1) {
    const Clock::duration took = now - phaseStart_;
    roster_.phaseEnded(thread, took, std::clamp(waited, Clock::duration{}, std::max(took, Clock::duration{})), now);
  }
  for (;;) {
    started_ = true;
    const uint32_t chunks = job_->advance(thread);
    if (chunks > 0) {
      phaseStart_ = Clock::now();
      publish(job_->threads(), chunks);
      return;
    }
    job_->finish();
    const std::lock_guard<std::mutex> lock(mutex_);
    job_ = first_;
    started_ = false;
    if (job_ == nullptr) {
      busy_ = false;
      return;
    }
    first_ = job_->next_;
    if (first_ == nullptr) last_ = nullptr;
    if (thread >= job_->threads()) {
      publish(job_->threads(), 1);
      return;
    }
  }
}

uint64_t Team::awaitWork(unsigned thread) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    const auto waited = Clock::now() - start;
    if (waited > yieldTime) break;
    if (waited > spinTime) std::this_thread::yield();
    for (int i = 0; i < turns; i++) {
      const uint64_t ticket = ticket_.load(std::memory_order_acquire);
      if (mine(ticket, thread)) return ticket;
      pause();
    }
  }
  sleepers_.fetch_or(uint64_t{1} << thread);
  uint64_t ticket;
  for (;;) {
    const uint32_t seen = wakeups_.load();
    ticket = ticket_.load();
    if (mine(ticket, thread)) break;
    sleepWhile(wakeups_, seen);
  }
  sleepers_.fetch_and(~(uint64_t{1} << thread));
  return ticket;
}

}  // namespace clavis
