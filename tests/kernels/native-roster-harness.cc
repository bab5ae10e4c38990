// Who takes part (Roster in kernels/native/threads.h), in made-up time: phases of twenty chunks, of which each takes
// 10 µs. Says "ok" and ends with 0, or says what went wrong.
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "../../kernels/native/threads.h"

using namespace clavis;

namespace {

constexpr unsigned threads = 2;
constexpr int chunks = 20;

void expect(bool condition, const char* what) {
  if (condition) return;
  std::printf("%s\n", what);
  std::exit(1);
}

/// Two threads of which one, or none, is slow.
struct Simulation {
  Roster roster;
  Clock::time_point now{};
  /// Seconds that each thread has taken part, and that all took.
  double part[threads] = {}, all = 0;

  bool rests(unsigned thread) const { return (roster.resting() >> thread & 1) != 0; }

  /// @param slow    which thread
  /// @param share   of the chunks of a phase that it takes
  /// @param waited  µs that the other waits for it at the end of the phase
  void run(double seconds, unsigned slow, int share, int waited) {
    const Clock::time_point end = now + std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6));
    while (now < end) {
      const bool alone = rests(0) || rests(1);
      const unsigned other = 1 - slow;
      const int slowChunks = !alone ? share : rests(slow) ? 0 : chunks;
      for (int i = 0; i < slowChunks; i++) roster.chunkDone(slow);
      for (int i = slowChunks; i < chunks; i++) roster.chunkDone(other);
      const int us = alone ? 10 * chunks + (rests(slow) ? 0 : waited) : 10 * (chunks - share) + waited;
      const auto took = std::chrono::microseconds(us);
      now += took;
      for (unsigned i = 0; i < threads; i++) part[i] += rests(i) ? 0 : us * 1e-6;
      all += us * 1e-6;
      roster.phaseEnded(alone ? (rests(slow) ? other : slow) : slow, took,
                        std::chrono::microseconds(alone ? 10 : waited), now);
    }
  }
};

}  // namespace

int main() {
  Simulation even;
  even.run(10, 1, chunks / 2, 5);
  expect(even.part[0] == even.all && even.part[1] == even.all, "one of two equal threads was left out");

  // A core of a quarter of the speed: it takes work off the other, though the other waits at the end.
  Simulation small;
  small.run(10, 1, chunks / 5, 10);
  expect(small.part[1] == small.all, "a slow thread that helps was left out");

  for (unsigned stopped = 0; stopped < threads; stopped++) {
    Simulation one;
    one.run(0.05, stopped, 1, 3000);
    expect(one.rests(stopped) && !one.rests(1 - stopped), "a thread that others wait for was not left out");
    one.run(30, stopped, 1, 3000);
    expect(one.part[1 - stopped] == one.all, "the thread that waits was left out");
    expect(one.part[stopped] < 0.05 * one.all, "a thread that does not pay was tried too often");
    // It can work again: it is tried after 1.6 s at the latest, and stays.
    one.run(2, stopped, chunks / 2, 5);
    expect(!one.rests(stopped), "a thread was not tried again");
    const double before = one.part[stopped], all = one.all;
    one.run(10, stopped, chunks / 2, 5);
    expect(one.part[stopped] - before > 0.999 * (one.all - all), "a thread that pays again was left out");
    // What it once cost is forgotten: the first pause is a short one again.
    one.run(0.05, stopped, 1, 3000);
    expect(one.rests(stopped), "a thread that others wait for again was not left out");
    one.run(0.15, stopped, chunks / 2, 5);
    expect(!one.rests(stopped), "the first pause was a long one");
  }

  // Each waits for the other in turn, in every phase.
  Simulation both;
  for (int i = 0; i < 20000; i++) {
    both.run(1e-6, static_cast<unsigned>(i % 2), chunks / 2, 3000);
    expect(!(both.rests(0) && both.rests(1)), "nobody was left");
  }

  std::printf("ok\n");
}
