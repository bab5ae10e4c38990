// The addon's face towards JavaScript: src/devices/native/addon.ts declares what is exported here, and
// src/devices/native/ checks every argument before it comes here. Only this file knows Node-API.
//
// One call runs one step; it returns a promise at once and the team of threads (threads.h) does the work.
#define NAPI_VERSION 8
#include <node_api.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "attention-fast.h"
#include "cpu.h"
#include "formats.h"
#include "load.h"
#include "matrix.h"
#include "memory.h"
#include "probe.h"
#include "program.h"
#include "rows.h"
#include "tape.h"
#include "threads.h"

namespace clavis {
namespace {

// ---- values from and to JavaScript

/// Thrown where Node-API refuses, or an argument is not what addon.ts says; becomes a JavaScript exception.
struct Refusal {
  const char* why;
};

void check(napi_status status, const char* why) {
  if (status != napi_ok) throw Refusal{why};
}

double number(napi_env env, napi_value value) {
  double result;
  check(napi_get_value_double(env, value, &result), "a number was expected");
  return result;
}

size_t count(napi_env env, napi_value value) {
  const double result = number(env, value);
  if (!(result >= 0 && result <= 9007199254740991.0)) throw Refusal{"a count was expected"};
  return static_cast<size_t>(result);
}

napi_value property(napi_env env, napi_value object, const char* name) {
  napi_value value;
  check(napi_get_named_property(env, object, name, &value), name);
  return value;
}

size_t countOf(napi_env env, napi_value object, const char* name) { return count(env, property(env, object, name)); }

template <typename T>
struct View {
  T* data = nullptr;
  size_t length = 0;
};

template <typename T>
View<T> view(napi_env env, napi_value value, napi_typedarray_type expected) {
  napi_typedarray_type type;
  View<T> result;
  void* data;
  check(napi_get_typedarray_info(env, value, &type, &result.length, &data, nullptr, nullptr), "a typed array was expected");
  if (type != expected) throw Refusal{"another typed array was expected"};
  result.data = static_cast<T*>(data);
  return result;
}

std::vector<int32_t> words(napi_env env, napi_value value) {
  const View<int32_t> array = view<int32_t>(env, value, napi_int32_array);
  return {array.data, array.data + array.length};
}

/// A level's name, or "" where JavaScript gave undefined.
std::string text(napi_env env, napi_value value) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), "a string was expected");
  if (type == napi_undefined) return "";
  char buffer[32];
  size_t length;
  check(napi_get_value_string_utf8(env, value, buffer, sizeof buffer, &length), "a string was expected");
  return {buffer, length};
}

napi_value string(napi_env env, const std::string& value) {
  napi_value result;
  check(napi_create_string_utf8(env, value.data(), value.size(), &result), "string");
  return result;
}

napi_value real(napi_env env, double value) {
  napi_value result;
  check(napi_create_double(env, value, &result), "number");
  return result;
}

// ---- what the addon holds per JavaScript environment (the main thread, or a worker)

struct Environment {
  napi_env env = nullptr;
  napi_threadsafe_function finished = nullptr;  // calls back on the environment's thread
  size_t pending = 0;                           // promises not yet settled; while there are any, the process stays alive
  std::atomic<size_t> running{0};               // jobs that the team still has
};

/// When an environment ends (a worker is terminated), the team may still be at work for it; what it would call
/// afterwards would be gone.
void awaitJobs(void* data) {
  std::atomic<size_t>& running = static_cast<Environment*>(data)->running;
  for (size_t left = running.load(); left > 0; left = running.load()) running.wait(left);
}

Environment& environmentOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Environment*>(data);
}

/// Work that goes on outside the environment's thread and settles a promise in the end.
class Task {
 public:
  explicit Task(Environment& environment) : environment_(environment) {}
  virtual ~Task() = default;

  /// Keeps a JavaScript value, and so its memory, alive until the work is done.
  void hold(napi_value value) {
    napi_ref reference;
    check(napi_create_reference(environment_.env, value, 1, &reference), "reference");
    held_.push_back(reference);
  }

  /// Starts the work; the task belongs to it from here on.
  ///
  /// @returns its promise
  static napi_value start(std::unique_ptr<Task> task) {
    Environment& environment = task->environment_;
    napi_value promise;
    check(napi_create_promise(environment.env, &task->deferred_, &promise), "promise");
    if (environment.pending++ == 0) napi_ref_threadsafe_function(environment.env, environment.finished);
    environment.running.fetch_add(1);
    task.release()->begin();
    return promise;
  }

  /// On the environment's thread.
  void settle() {
    const napi_env env = environment_.env;
    for (const napi_ref reference : held_) napi_delete_reference(env, reference);
    napi_value nothing;
    napi_get_undefined(env, &nothing);
    napi_resolve_deferred(env, deferred_, nothing);
    if (--environment_.pending == 0) napi_unref_threadsafe_function(env, environment_.finished);
  }

 protected:
  /// The work is done; any thread may say so, once. The task may be destroyed here.
  void end() {
    Environment& environment = environment_;  // the call may be answered, and this destroyed, at once
    napi_call_threadsafe_function(environment.finished, this, napi_tsfn_nonblocking);
    environment.running.fetch_sub(1);
    environment.running.notify_all();
  }

 private:
  virtual void begin() = 0;

  Environment& environment_;
  napi_deferred deferred_ = nullptr;
  std::vector<napi_ref> held_;
};

/// Work for the team of threads.
class TeamTask : public Task, public Job {
 public:
  TeamTask(Environment& environment, unsigned threads) : Task(environment), Job(threads) {}
  void finish() override { end(); }

 private:
  void begin() override { Team::instance().submit(this); }
};

void settleTask(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (env != nullptr) task->settle();
}

// ---- a program

/// A program with the memory that it points into.
struct Held {
  Program program;
  std::vector<int32_t> tape;
  std::vector<Weight> weights;
  std::vector<int32_t> tokens, positions, slots, pageTables, wanted;
  size_t logits = 0, logitsStride = 0, vocabulary = 0;
  Region weightMemory, arenaMemory, cacheMemory, scratchMemory, preparedMemory;
  size_t bytes = 0;
};

/// What JavaScript holds: shared with the jobs under way, so that closing early takes nothing from under them.
using Handle = std::shared_ptr<Held>;

Handle& handleOf(napi_env env, napi_value value) {
  void* data;
  check(napi_get_value_external(env, value, &data), "a program was expected");
  Handle& handle = *static_cast<Handle*>(data);
  if (!handle) throw Refusal{"the program is closed"};
  return handle;
}

class StepTask final : public TeamTask {
 public:
  StepTask(Environment& environment, Handle held, float* logits)
      : TeamTask(environment, held->program.threads), held_(std::move(held)), run_(held_->program), logits_(logits) {}

  uint32_t advance(unsigned thread) override {
    const uint32_t chunks = run_.advance(thread);
    if (chunks == 0) copyLogits();
    return chunks;
  }
  void chunk(uint32_t chunk, unsigned thread) override { run_.chunk(chunk, thread); }

 private:
  void copyLogits() const {
    const size_t bytes = held_->vocabulary * sizeof(float);
    for (size_t r = 0; r < held_->wanted.size(); r++) {
      std::memcpy(logits_ + r * held_->vocabulary, held_->program.arena + held_->logits + r * held_->logitsStride, bytes);
    }
  }

  Handle held_;
  TapeRun run_;
  float* logits_;
};

/// Packs rows of one matrix that were read into a buffer of JavaScript's.
class PackTask final : public TeamTask {
 public:
  PackTask(Environment& environment, Handle held, const Weight& weight, const uint8_t* source, size_t rowBytes,
           size_t rows, uint8_t* target)
      : TeamTask(environment, held->program.threads),
        held_(std::move(held)),
        weight_(weight),
        source_(source),
        rowBytes_(rowBytes),
        rows_(rows),
        target_(target) {
    const size_t group = held_->program.matrix->group;
    size_ = std::max<size_t>(1, chunkBytes / (rowBytes_ * group)) * group;
  }

  uint32_t advance(unsigned) override {
    if (done_) return 0;
    done_ = true;
    return static_cast<uint32_t>((rows_ + size_ - 1) / size_);
  }

  void chunk(uint32_t chunk, unsigned) override {
    const MatrixKernels& matrix = *held_->program.matrix;
    const size_t first = chunk * size_, rows = std::min(size_, rows_ - first);
    matrix.packRows(weight_.format, source_ + first * rowBytes_,
                    target_ + matrix.packedBytes(weight_.format, first, weight_.width), rows, weight_.width);
  }

 private:
  static constexpr size_t chunkBytes = 65536;

  Handle held_;
  const Weight& weight_;
  const uint8_t* source_;
  size_t rowBytes_, rows_, size_;
  uint8_t* target_;
  bool done_ = false;
};

/// Reads and packs matrices from open files (load.h).
class LoadTask final : public Task {
 public:
  LoadTask(Environment& environment, Handle held, std::vector<LoadPiece> pieces, std::vector<FileRange> ranges,
           unsigned threads, int32_t* state)
      : Task(environment),
        held_(std::move(held)),
        load_(*held_->program.matrix, std::move(pieces), std::move(ranges), state),
        threads_(threads) {}

 private:
  void begin() override {
    load_.start(threads_, [this] { end(); });
  }

  Handle held_;
  Load load_;
  unsigned threads_;
};

// ---- exported functions

/// What a program under this level may use. Asks for the tiles before the team has threads.
CpuFeatures featuresFor(napi_env env, napi_value level) {
  CpuFeatures features = limitCpu(detectCpu(), text(env, level).c_str());
  if (features.amxBf16 && !bf16TilesWork()) features.amxBf16 = false;
  if (features.amxInt8 && !int8TilesWork()) features.amxInt8 = false;
  return features;
}

/// Threads of the team for a wish.
unsigned teamOf(size_t wish) {
  const unsigned threads = Team::instance().grow(static_cast<unsigned>(std::min<size_t>(wish, Team::mostThreads)));
  if (threads == 0) throw Refusal{"threads"};
  return threads;
}

/// The names of the kernels for many rows that a mode takes, for weights of one kind or another, with commas.
std::string manyRowNames(const CpuFeatures& features, bool exact) {
  std::string names;
  for (const int format : {kQ4_0, kQ4_K, kQ6_K, kBF16, kF16, kF32}) {
    const ManyRowKernels* kernels = selectManyRowKernels(features, format, exact);
    if (kernels != nullptr && names.find(kernels->name) == std::string::npos) {
      names += (names.empty() ? "" : ", ") + std::string(kernels->name);
    }
  }
  return names;
}

/// describe(level?): { level, matrix, rows, fast, exact, group }
napi_value describe(napi_env env, napi_value* arguments) {
  const CpuFeatures features = featuresFor(env, arguments[0]);
  const MatrixKernels* matrix = selectMatrixKernels(features);
  napi_value result;
  check(napi_create_object(env, &result), "object");
  napi_set_named_property(env, result, "level", string(env, levelName(features)));
  napi_set_named_property(env, result, "matrix", string(env, matrix->name));
  napi_set_named_property(env, result, "rows", string(env, selectRowKernels(features)->name));
  std::string fast = manyRowNames(features, false);
  const FastAttention* attention = selectFastAttention(features, 64);
  if (attention != nullptr && fast.find(attention->name) == std::string::npos) {
    fast += (fast.empty() ? "" : ", ") + std::string(attention->name);
  }
  napi_set_named_property(env, result, "fast", string(env, fast));
  napi_set_named_property(env, result, "exact", string(env, manyRowNames(features, true)));
  napi_set_named_property(env, result, "group", real(env, matrix->group));
  return result;
}

/// The names that one of cpu.h's lists gives for this processor.
template <size_t list(const CpuFeatures&, const char**)>
napi_value namesOf(napi_env env, napi_value*) {
  const char* names[mostFeatureNames];
  const size_t count = list(detectCpu(), names);
  napi_value result;
  check(napi_create_array(env, &result), "array");
  for (uint32_t i = 0; i < count; i++) check(napi_set_element(env, result, i, string(env, names[i])), "array");
  return result;
}

class ProbeTask final : public TeamTask {
 public:
  ProbeTask(Environment& environment, const MatrixKernels& matrix, unsigned threads, double* result)
      : TeamTask(environment, threads), probe_(matrix, threads), result_(result) {
    if (!probe_.hasMemory()) throw Refusal{"memory"};
  }
  uint32_t advance(unsigned) override {
    const uint32_t chunks = probe_.advance();
    if (chunks == 0) {
      result_[0] = probe_.bytesPerSecond();
      result_[1] = probe_.operationsPerSecond();
    }
    return chunks;
  }
  void chunk(uint32_t chunk, unsigned thread) override { probe_.chunk(chunk, thread); }

 private:
  Probe probe_;
  double* result_;
};

/// measure(level, threads, result): promise. Writes bytes read and operations done a second.
napi_value measure(napi_env env, napi_value* arguments) {
  const MatrixKernels* matrix = selectMatrixKernels(featuresFor(env, arguments[0]));
  const unsigned threads = teamOf(count(env, arguments[1]));
  const View<double> result = view<double>(env, arguments[2], napi_float64_array);
  if (result.length < 2) throw Refusal{"result"};
  auto task = std::make_unique<ProbeTask>(environmentOf(env), *matrix, threads, result.data);
  task->hold(arguments[2]);
  return Task::start(std::move(task));
}

/// manyRowKernels(level, format, exact): the name of the kernels for steps of many rows, "" where there are none; those
/// with the bits of docs/numerics.md alone, or all
napi_value manyRowKernels(napi_env env, napi_value* arguments) {
  const int format = static_cast<int>(number(env, arguments[1]));
  const bool exact = number(env, arguments[2]) != 0;
  const ManyRowKernels* kernels = selectManyRowKernels(featuresFor(env, arguments[0]), format, exact);
  return string(env, kernels != nullptr ? kernels->name : "");
}

/// fastAttention(level, headWidth): the name of the fast attention for heads of this width, "" where there is none
napi_value fastAttention(napi_env env, napi_value* arguments) {
  const FastAttention* fast = selectFastAttention(featuresFor(env, arguments[0]), count(env, arguments[1]));
  return string(env, fast != nullptr ? fast->name : "");
}

/// packedBytes(level, format, rows, width): bytes, 0 for a format that is not packed
napi_value packedBytes(napi_env env, napi_value* arguments) {
  const MatrixKernels* matrix = selectMatrixKernels(featuresFor(env, arguments[0]));
  const size_t rows = count(env, arguments[2]), width = count(env, arguments[3]);
  return real(env, static_cast<double>(matrix->packedBytes(static_cast<int>(number(env, arguments[1])), rows, width)));
}

constexpr size_t weightFields = 5;
enum WeightKind { matrixKind, vectorKind, frequencyKind };

size_t to64(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

/// A product of sizes; more than can be addressed is more than there is.
template <typename... Sizes>
size_t product(size_t first, Sizes... others) {
  ((__builtin_mul_overflow(first, static_cast<size_t>(others), &first) ? throw Refusal{"memory"} : void()), ...);
  return first;
}

Region allocate(size_t bytes) {
  Region region = Region::allocate(bytes);
  if (region.data() == nullptr) throw Refusal{"memory"};
  return region;
}

/// Lays the weights out one after another, from what addon.ts says of them: kind, format, rows, width, experts each.
/// Products of many rows take what these features have; in reproducible mode (`exact`) only kernels with the bits of
/// docs/numerics.md.
void layOutWeights(Held& held, View<double> fields, const CpuFeatures& features, bool exact) {
  const MatrixKernels& matrix = *held.program.matrix;
  size_t bytes = 0;
  std::vector<size_t> offsets;
  for (size_t i = 0; i + weightFields <= fields.length; i += weightFields) {
    const double* f = fields.data + i;
    Weight weight;
    weight.format = static_cast<int>(f[1]);
    weight.rows = static_cast<size_t>(f[2]);
    weight.width = static_cast<size_t>(f[3]);
    weight.experts = static_cast<size_t>(f[4]);
    switch (static_cast<int>(f[0])) {
      case matrixKind:
        weight.expertBytes = to64(matrix.packedBytes(weight.format, weight.rows, weight.width));
        weight.manyRows = selectManyRowKernels(features, weight.format, exact);
        break;
      case vectorKind:
        weight.expertBytes = to64(weight.width * sizeof(float));
        break;
      default:
        weight.expertBytes = to64(weight.width * sizeof(double));
    }
    offsets.push_back(bytes);
    bytes += product(weight.expertBytes, weight.experts);
    held.weights.push_back(weight);
  }
  held.weightMemory = allocate(bytes);
  for (size_t i = 0; i < offsets.size(); i++) held.weights[i].data = held.weightMemory.data() + offsets[i];
  held.bytes += bytes;
}

/// open({ level, threads, tape, weights, arenaBytes, layers, kvHeads, headWidth, pages, quantized, tokens,
///        pagesPerSequence, logits, logitsStride, vocabulary, wanted, fast }): program
napi_value openProgram(napi_env env, napi_value* arguments) {
  const napi_value options = arguments[0];
  const auto get = [&](const char* name) { return countOf(env, options, name); };
  auto held = std::make_shared<Held>();
  Program& program = held->program;
  const CpuFeatures features = featuresFor(env, property(env, options, "level"));
  program.matrix = selectMatrixKernels(features);
  program.rows = selectRowKernels(features);
  program.threads = teamOf(get("threads"));
  held->tape = words(env, property(env, options, "tape"));
  layOutWeights(*held, view<double>(env, property(env, options, "weights"), napi_float64_array), features,
                get("fast") == 0);
  held->logits = get("logits");
  held->logitsStride = get("logitsStride");
  held->vocabulary = get("vocabulary");

  Cache& cache = program.cache;
  cache.quantized = get("quantized") != 0;
  cache.heads = get("kvHeads");
  cache.headWidth = get("headWidth");
  cache.pages = get("pages");
  if (get("fast") != 0) program.fastAttention = selectFastAttention(features, cache.headWidth);
  const size_t rowBytes =
      cache.quantized ? cache.headWidth + cache.headWidth / 32 * sizeof(float) : cache.headWidth * sizeof(uint16_t);
  cache.blockBytes = pagePositions * rowBytes;
  const size_t cacheBytes = product(get("layers"), cache.pages, 2, cache.heads, cache.blockBytes);
  held->cacheMemory = allocate(cacheBytes);
  cache.data = held->cacheMemory.data();

  program.tape = held->tape.data();
  program.calls = held->tape.size() / tapeWords;
  program.weights = held->weights.data();
  program.step.pagesPerSequence = get("pagesPerSequence");
  // Kernels may read a whole vector where a row ends.
  held->arenaMemory = allocate(get("arenaBytes") + 64);
  program.arena = held->arenaMemory.data();
  program.scratchBytes = tapeScratch(program, get("tokens"), program.step.pagesPerSequence * pagePositions);
  held->scratchMemory = allocate(program.scratchBytes * program.threads);
  program.scratch = held->scratchMemory.data();
  held->preparedMemory = allocate(tapePrepared(program, std::max(get("tokens"), get("wanted"))));
  program.prepared = held->preparedMemory.data();
  held->bytes += cacheBytes + held->arenaMemory.bytes() + held->scratchMemory.bytes() + held->preparedMemory.bytes();

  auto handle = std::make_unique<Handle>(std::move(held));
  napi_value result;
  check(napi_create_external(
            env, handle.get(), [](napi_env, void* data, void*) { delete static_cast<Handle*>(data); }, nullptr, &result),
        "program");
  handle.release();
  return result;
}

/// bytes(program): bytes of weights, cache, arena and scratch
napi_value programBytes(napi_env env, napi_value* arguments) {
  return real(env, static_cast<double>(handleOf(env, arguments[0])->bytes));
}

/// threads(program): threads that it computes with
napi_value programThreads(napi_env env, napi_value* arguments) {
  return real(env, handleOf(env, arguments[0])->program.threads);
}

/// setWeight(program, index, bytes): copies a vector's or frequencies' values
napi_value setWeight(napi_env env, napi_value* arguments) {
  Handle& held = handleOf(env, arguments[0]);
  const size_t index = count(env, arguments[1]);
  const View<uint8_t> bytes = view<uint8_t>(env, arguments[2], napi_uint8_array);
  if (index >= held->weights.size() || bytes.length > held->weights[index].expertBytes) throw Refusal{"weight"};
  std::memcpy(held->weights[index].data, bytes.data, bytes.length);
  return nullptr;
}

/// staging(bytes): ArrayBuffer to read files into. Of its own memory rather than the JavaScript heap's, so that it goes
/// back to the system at once when it is released.
napi_value staging(napi_env env, napi_value* arguments) {
  auto region = std::make_unique<Region>(allocate(count(env, arguments[0])));
  napi_value result;
  check(napi_create_external_arraybuffer(
            env, region->data(), region->bytes(), [](napi_env, void*, void* hint) { delete static_cast<Region*>(hint); },
            region.get(), &result),
        "staging");
  region.release();
  return result;
}

/// release(staging): the ArrayBuffer is empty from here on
napi_value release(napi_env env, napi_value* arguments) {
  check(napi_detach_arraybuffer(env, arguments[0]), "staging");
  return nullptr;
}

/// pack(program, index, expert, firstRow, rows, bytes): promise. Packs rows that `bytes` holds, GGUF row after row.
napi_value pack(napi_env env, napi_value* arguments) {
  Handle& held = handleOf(env, arguments[0]);
  const size_t index = count(env, arguments[1]), expert = count(env, arguments[2]);
  const size_t first = count(env, arguments[3]), rows = count(env, arguments[4]);
  const View<uint8_t> bytes = view<uint8_t>(env, arguments[5], napi_uint8_array);
  const MatrixKernels& matrix = *held->program.matrix;
  if (index >= held->weights.size()) throw Refusal{"weight"};
  const Weight& weight = held->weights[index];
  if (expert >= weight.experts || first % matrix.group != 0 || first + rows > weight.rows || rows == 0) {
    throw Refusal{"rows"};
  }
  uint8_t* target =
      weight.data + expert * weight.expertBytes + matrix.packedBytes(weight.format, first, weight.width);
  auto task = std::make_unique<PackTask>(environmentOf(env), held, weight, bytes.data, bytes.length / rows, rows, target);
  task->hold(arguments[5]);
  return Task::start(std::move(task));
}

/// load(program, pieces, threads, state): promise. Reads and packs pieces of matrices; addon.ts says how they are
/// written and what becomes of `state`.
napi_value load(napi_env env, napi_value* arguments) {
  Handle& held = handleOf(env, arguments[0]);
  const View<double> fields = view<double>(env, arguments[1], napi_float64_array);
  const View<int32_t> state = view<int32_t>(env, arguments[3], napi_int32_array);
  if (state.length < loadStates) throw Refusal{"state"};
  const MatrixKernels& matrix = *held->program.matrix;
  std::vector<LoadPiece> pieces;
  std::vector<FileRange> ranges;
  for (size_t i = 0; i < fields.length;) {
    if (fields.length - i < 5) throw Refusal{"pieces"};
    const double* f = fields.data + i;
    const size_t index = static_cast<size_t>(f[0]), expert = static_cast<size_t>(f[1]);
    const size_t first = static_cast<size_t>(f[2]), rows = static_cast<size_t>(f[3]), count = static_cast<size_t>(f[4]);
    i += 5;
    if (index >= held->weights.size() || (fields.length - i) / 3 < count) throw Refusal{"pieces"};
    const Weight& weight = held->weights[index];
    if (expert >= weight.experts || first % matrix.group != 0 || first + rows > weight.rows || rows == 0) {
      throw Refusal{"rows"};
    }
    uint8_t* target =
        weight.data + expert * weight.expertBytes + matrix.packedBytes(weight.format, first, weight.width);
    pieces.push_back({weight.format, rows, weight.width, target, ranges.size(), count});
    for (size_t r = 0; r < count; r++, i += 3) {
      ranges.push_back({static_cast<int>(fields.data[i]), static_cast<uint64_t>(fields.data[i + 1]),
                        static_cast<size_t>(fields.data[i + 2])});
    }
  }
  const unsigned threads = static_cast<unsigned>(std::clamp<size_t>(count(env, arguments[2]), 1, 64));
  auto task =
      std::make_unique<LoadTask>(environmentOf(env), held, std::move(pieces), std::move(ranges), threads, state.data);
  task->hold(arguments[3]);
  return Task::start(std::move(task));
}

/// run(program, tokens, positions, slots, pageTables, wanted, logits): promise. Page tables lie one after another,
/// pagesPerSequence each; logits, wanted · vocabulary f32, is written.
napi_value run(napi_env env, napi_value* arguments) {
  Handle& held = handleOf(env, arguments[0]);
  held->tokens = words(env, arguments[1]);
  held->positions = words(env, arguments[2]);
  held->slots = words(env, arguments[3]);
  held->pageTables = words(env, arguments[4]);
  held->wanted = words(env, arguments[5]);
  const View<float> logits = view<float>(env, arguments[6], napi_float32_array);
  if (logits.length < held->wanted.size() * held->vocabulary) throw Refusal{"logits"};
  Step& step = held->program.step;
  step.tokens = held->tokens.data();
  step.positions = held->positions.data();
  step.slots = held->slots.data();
  step.pageTables = held->pageTables.data();
  step.wanted = held->wanted.data();
  step.tokenCount = held->tokens.size();
  step.wantedCount = held->wanted.size();
  auto task = std::make_unique<StepTask>(environmentOf(env), held, logits.data);
  task->hold(arguments[6]);
  return Task::start(std::move(task));
}

/// close(program): gives the memory back, after the job under way if there is one
napi_value closeProgram(napi_env env, napi_value* arguments) {
  void* data;
  check(napi_get_value_external(env, arguments[0], &data), "a program was expected");
  static_cast<Handle*>(data)->reset();
  return nullptr;
}

using Function = napi_value (*)(napi_env env, napi_value* arguments);

/// Calls one of the functions above; what it throws becomes a JavaScript exception.
template <Function function>
napi_value wrapped(napi_env env, napi_callback_info info) {
  napi_value arguments[8];
  size_t given = 8;
  const char* why;
  try {
    check(napi_get_cb_info(env, info, &given, arguments, nullptr, nullptr), "arguments");
    return function(env, arguments);
  } catch (const Refusal& refusal) {
    why = refusal.why;
  } catch (const std::bad_alloc&) {
    why = "memory";
  } catch (const std::exception& error) {
    why = error.what();
  }
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, nullptr, why);
  return nullptr;
}

template <Function function>
void add(napi_env env, napi_value exports, const char* name) {
  napi_value value;
  check(napi_create_function(env, name, NAPI_AUTO_LENGTH, wrapped<function>, nullptr, &value), name);
  check(napi_set_named_property(env, exports, name, value), name);
}

}  // namespace
}  // namespace clavis

NAPI_MODULE_INIT() {
  using namespace clavis;
  auto* environment = new Environment{.env = env};
  napi_value name;
  napi_create_string_utf8(env, "clavis", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, settleTask,
                                  &environment->finished);
  napi_unref_threadsafe_function(env, environment->finished);
  // Before the function above ends: hooks run in the order opposite to this.
  napi_add_env_cleanup_hook(env, awaitJobs, environment);
  // Never freed, because the team looks at it when a job has ended.
  napi_set_instance_data(env, environment, nullptr, nullptr);
  try {
    add<describe>(env, exports, "describe");
    add<namesOf<featureNames>>(env, exports, "features");
    add<namesOf<levelNames>>(env, exports, "levels");
    add<measure>(env, exports, "measure");
    add<manyRowKernels>(env, exports, "manyRowKernels");
    add<fastAttention>(env, exports, "fastAttention");
    add<packedBytes>(env, exports, "packedBytes");
    add<openProgram>(env, exports, "open");
    add<programBytes>(env, exports, "bytes");
    add<programThreads>(env, exports, "threads");
    add<setWeight>(env, exports, "setWeight");
    add<staging>(env, exports, "staging");
    add<release>(env, exports, "release");
    add<pack>(env, exports, "pack");
    add<load>(env, exports, "load");
    add<run>(env, exports, "run");
    add<closeProgram>(env, exports, "close");
  } catch (const Refusal& refusal) {
    napi_throw_error(env, nullptr, refusal.why);
  }
  return exports;
}
