#include "threads.h"

#include <chrono>
#include <climits>
#include <system_error>
#include <thread>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace clavis {

namespace {

using Clock = std::chrono::steady_clock;

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

}  // namespace

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
  const uint64_t wanted = threads < mostThreads ? (uint64_t{1} << threads) - 1 : ~uint64_t{0};
  if ((sleepers_.load() & wanted) != 0) {
    wakeups_.fetch_add(1);
    wakeAll(wakeups_);
  }
}

void Team::work(unsigned thread) {
  for (;;) {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    if (unclaimed(ticket) == 0 || threadsOf(ticket) <= thread) ticket = awaitWork(thread);
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
    // From here on the phase cannot end without this thread.
    const uint32_t chunks = chunks_;
    if (started_) job_->chunk(unclaimed(ticket) - 1, thread);
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == chunks) finishPhase(thread);
  }
}

void Team::finishPhase(unsigned thread) {
  for (;;) {
    started_ = true;
    const uint32_t chunks = job_->advance(thread);
    if (chunks > 0) {
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
  const auto mine = [thread](uint64_t ticket) { return unclaimed(ticket) > 0 && threadsOf(ticket) > thread; };
  const Clock::time_point start = Clock::now();
  for (;;) {
    const auto waited = Clock::now() - start;
    if (waited > yieldTime) break;
    if (waited > spinTime) std::this_thread::yield();
    for (int i = 0; i < turns; i++) {
      const uint64_t ticket = ticket_.load(std::memory_order_acquire);
      if (mine(ticket)) return ticket;
      pause();
    }
  }
  sleepers_.fetch_or(uint64_t{1} << thread);
  uint64_t ticket;
  for (;;) {
    const uint32_t seen = wakeups_.load();
    ticket = ticket_.load();
    if (mine(ticket)) break;
    sleepWhile(wakeups_, seen);
  }
  sleepers_.fetch_and(~(uint64_t{1} << thread));
  return ticket;
}

}  // namespace clavis
