// The team of threads and the tape, to be run under ThreadSanitizer (native-threads.slow.test.ts). Jobs of one to four
// threads come from several threads at once; what their chunks write is ordinary memory that other threads read in
// the next phase, so that a missing order shows as a race. Says "ok" and ends with 0, or says what went wrong.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../../kernels/native/memory.h"
#include "../../kernels/native/program.h"
#include "../../kernels/native/rows.h"
#include "../../kernels/native/tape.h"
#include "../../kernels/native/threads.h"

using namespace clavis;

namespace {

[[noreturn]] void fail(const char* what) {
  std::printf("%s\n", what);
  std::fflush(stdout);
  _Exit(1);
}

/// A job that can be waited for.
class Waited : public Job {
 public:
  explicit Waited(unsigned threads) : Job(Team::instance().grow(threads)) {}
  void finish() final {
    // Whoever waits destroys this as soon as it is done.
    std::shared_ptr<std::atomic<bool>> done = done_;
    done->store(true);
    done->notify_all();
  }
  void run() {
    std::shared_ptr<std::atomic<bool>> done = done_;
    done->store(false);
    Team::instance().submit(this);
    done->wait(false);
  }

 private:
  std::shared_ptr<std::atomic<bool>> done_ = std::make_shared<std::atomic<bool>>(false);
};

/// Each phase's chunks read all that the phase before wrote.
class Counting final : public Waited {
 public:
  Counting(unsigned threads, size_t phases, size_t chunks)
      : Waited(threads), phases_(phases), values_(2, std::vector<uint64_t>(chunks, 1)) {}

  uint32_t advance(unsigned) override { return at_++ < phases_ ? static_cast<uint32_t>(values_[0].size()) : 0; }
  void chunk(uint32_t chunk, unsigned thread) override {
    if (thread >= threads()) fail("a thread that has no part in the job");
    const std::vector<uint64_t>& before = values_[at_ % 2];
    uint64_t sum = 0;
    for (const uint64_t value : before) sum += value;
    values_[(at_ + 1) % 2][chunk] = sum % 1000003;
  }
  uint64_t result() const { return values_[at_ % 2][0]; }  // advance() has counted one further

 private:
  size_t phases_, at_ = 0;
  std::vector<std::vector<uint64_t>> values_;
};

uint64_t countedAlone(size_t phases, size_t chunks) {
  uint64_t value = 1;
  for (size_t i = 0; i < phases; i++) value = value * chunks % 1000003;
  return value;
}

constexpr int q8_0 = 8, f32Format = 0;
constexpr size_t width = 64, heads = 2, headWidth = 32, tokens = 24, pages = 4, repeats = 3;

enum Op : int32_t { embed = 1, rmsNorm = 4, quantize = 6, matmul = 7, kvStore = 9, attention = 10, add = 11, softcap = 14 };

int32_t bitsOf(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// A layer's worth of calls, a few times over, with memory of its own that goes when it goes.
class Model {
 public:
  explicit Model(unsigned threads) {
    CpuFeatures baseline = limitCpu(detectCpu(), "baseline");
    program_.matrix = selectMatrixKernels(baseline);
    program_.rows = selectRowKernels(baseline);
    program_.threads = Team::instance().grow(threads);
    addWeights();
    addCalls();
    program_.tape = tape_.data();
    program_.calls = tape_.size() / tapeWords;
    program_.weights = weights_.data();
    Cache& cache = program_.cache;
    cache.heads = heads;
    cache.headWidth = headWidth;
    cache.pages = pages;
    cache.blockBytes = pagePositions * headWidth * sizeof(uint16_t);
    cacheMemory_ = Region::allocate(pages * 2 * heads * cache.blockBytes);
    cache.data = cacheMemory_.data();
    arena_ = Region::allocate(arenaBytes_ + 64);
    program_.arena = arena_.data();
    for (size_t t = 0; t < tokens; t++) {
      ids_.push_back(static_cast<int32_t>(t * 7 % 32));
      positions_.push_back(static_cast<int32_t>(t));
      zeros_.push_back(0);
    }
    for (size_t p = 0; p < pages; p++) table_.push_back(static_cast<int32_t>(pages - 1 - p));
    Step& step = program_.step;
    step.tokens = ids_.data();
    step.positions = positions_.data();
    step.slots = zeros_.data();
    step.pageTables = table_.data();
    step.tokenCount = tokens;
    step.pagesPerSequence = pages;
    program_.scratchBytes = tapeScratch(program_, tokens, pages * pagePositions);
    scratch_ = Region::allocate(program_.scratchBytes * program_.threads);
    program_.scratch = scratch_.data();
  }

  std::vector<float> run() {
    StepJob job(program_);
    job.run();
    std::vector<float> result(tokens * width);
    std::memcpy(result.data(), program_.arena, result.size() * sizeof(float));
    return result;
  }

 private:
  class StepJob final : public Waited {
   public:
    explicit StepJob(const Program& program) : Waited(program.threads), run_(program) {}
    uint32_t advance(unsigned thread) override { return run_.advance(thread); }
    void chunk(uint32_t chunk, unsigned thread) override { run_.chunk(chunk, thread); }

   private:
    TapeRun run_;
  };

  size_t region(size_t rowBytes) {
    const size_t at = arenaBytes_;
    arenaBytes_ += rowBytes * tokens;
    return at;
  }

  void addMatrix(int format, size_t rows, const std::vector<uint8_t>& bytes) {
    Weight weight;
    weight.format = format;
    weight.rows = rows;
    weight.width = width;
    weight.expertBytes = program_.matrix->packedBytes(format, rows, width);
    memory_.push_back(Region::allocate(weight.expertBytes));
    weight.data = memory_.back().data();
    program_.matrix->packRows(format, bytes.data(), weight.data, rows, width);
    weights_.push_back(weight);
  }

  void addWeights() {
    std::mt19937 random(1);
    std::vector<float> table(32 * width);
    for (float& value : table) value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    std::vector<uint8_t> bytes(table.size() * sizeof(float));
    std::memcpy(bytes.data(), table.data(), bytes.size());
    addMatrix(f32Format, 32, bytes);
    std::vector<uint8_t> blocks(width * width / 32 * 34);
    for (size_t i = 0; i < blocks.size(); i++) {
      blocks[i] = i % 34 == 0 ? 0 : i % 34 == 1 ? 0x14 : static_cast<uint8_t>(random());
    }
    addMatrix(q8_0, width, blocks);
  }

  void call(std::initializer_list<int32_t> words) {
    std::vector<int32_t> all(words);
    all.resize(tapeWords);
    tape_.insert(tape_.end(), all.begin(), all.end());
  }

  void addCalls() {
    const auto word = [](size_t value) { return static_cast<int32_t>(value); };
    const int32_t row = word(width * sizeof(float)), q8Row = 128, n = word(width);
    const int32_t x = word(region(row)), y = word(region(row)), q8 = word(region(q8Row)), z = word(region(row));
    call({embed, 0, x, row, -1, 0, -1, 0, 0, n, bitsOf(1.0f)});
    for (size_t i = 0; i < repeats; i++) {
      call({quantize, 0, q8, q8Row, x, row, -1, 0, n, 1});
      call({matmul, 0, y, row, q8, q8Row, -1, 0, 1, n, n, -1});
      call({kvStore, 0, -1, 0, y, row, x, row, 0, word(headWidth), word(heads)});
      call({attention, 0, z, row, y, row, -1, 0, 0, word(headWidth), word(heads), word(heads), 0, bitsOf(0.125f), 0});
      call({quantize, 0, q8, q8Row, z, row, -1, 0, n, 1});
      // The residual in place: a chunk that ran twice would add twice.
      call({matmul, 0, x, row, q8, q8Row, x, row, 1, n, n, -1});
      call({softcap, 0, x, row, x, row, -1, 0, n, bitsOf(4.0f)});
    }
  }

  Program program_;
  std::vector<int32_t> tape_, ids_, positions_, zeros_, table_;
  std::vector<Weight> weights_;
  std::vector<Region> memory_;
  Region cacheMemory_, arena_, scratch_;
  size_t arenaBytes_ = 0;
};

void countInTurn(unsigned seed) {
  for (unsigned round = 0; round < 60; round++) {
    const unsigned threads = (seed + round) % 4 + 1;
    const size_t phases = round % 7, chunks = 1 + (seed * 5 + round * 3) % 40;
    Counting job(threads, phases, chunks);
    job.run();
    if (phases > 0 && job.result() != countedAlone(phases, chunks)) fail("a phase missed what the one before wrote");
    // Now and then long enough for the team to fall asleep.
    if (round % 16 == seed) std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
}

void runModels(unsigned seed, const std::vector<float>& want) {
  for (unsigned round = 0; round < 6; round++) {
    // Closed after a few steps while others go on.
    Model model((seed + round) % 4 + 1);
    for (int step = 0; step < 4; step++) {
      if (model.run() != want) fail("other bits with other threads");
    }
  }
}

}  // namespace

int main() {
  const std::vector<float> want = Model(1).run();
  std::vector<std::thread> callers;
  for (unsigned seed = 0; seed < 3; seed++) callers.emplace_back(countInTurn, seed);
  for (unsigned seed = 0; seed < 3; seed++) callers.emplace_back(runModels, seed, std::cref(want));
  for (std::thread& caller : callers) caller.join();
  std::printf("ok\n");
  std::fflush(stdout);
  // The team's threads never end.
  _Exit(0);
}
