import { exp } from "../devices/reference/math.ts";
import { logitInfinite, logitNaN, nothingAllowed } from "./errors.ts";

/**
 * The tokens still in play, the likeliest first and of equals the lower id first. Every step of the
 * sampler chain after the penalties takes some away.
 *
 * The first `size` values count. `weights` are probabilities times a common factor: e^(logit − largest).
 */
export interface Candidates {
  ids: Int32Array;
  logits: Float32Array;
  weights: Float32Array;
  size: number;
}

/**
 * The `count` largest logits, without sorting the others.
 *
 * @param logits  [V] f32, unnormalised, natural log; −Infinity bars a token; left unchanged
 * @param count   1 ≤ count; V or more sorts them all
 * @returns       at most min(count, V) candidates, without weights: barred tokens are none. A view of memory
 *                that the next call overwrites.
 * @throws ClavisError `sample.nan`, `sample.infinite` on such a logit, `sample.empty` where all are −Infinity
 */
export function largest(logits: Float32Array, count: number): Candidates {
  const candidates = room(Math.min(count, logits.length));
  if (count < logits.length || logits.length < leastToSort) selectLargest(logits, count, candidates);
  else sortAll(logits, candidates);
  if (candidates.size === 0) throw nothingAllowed(logits.length);
  if (candidates.logits[0] === Number.POSITIVE_INFINITY) throw logitInfinite(candidates.ids[0]);
  return candidates;
}

/** Sets the weights to e^((logit − largest) / temperature), with temperature > 0. */
export function setWeights({ logits, weights, size }: Candidates, temperature: number): void {
  const highest = logits[0];
  for (let i = 0; i < size; i++) {
    weights[i] = exp(Math.fround(Math.fround(logits[i] - highest) / temperature));
  }
}

/** The sum of the weights, in binary64, first to last. */
export function totalWeight({ weights, size }: Candidates): number {
  let total = 0;
  for (let i = 0; i < size; i++) total += weights[i];
  return total;
}

/** Keeps the candidates from `start` up to `end`. */
export function keepRange(candidates: Candidates, start: number, end: number): void {
  if (start > 0) {
    candidates.ids.copyWithin(0, start, end);
    candidates.logits.copyWithin(0, start, end);
    candidates.weights.copyWithin(0, start, end);
  }
  candidates.size = end - start;
}

/** Below so many logits, sorting with the heap is quicker than three rounds over 2,048 counters. */
const leastToSort = 1024;

// Sampling is synchronous and candidates live until the next call only, so that all samplers of a thread
// can share one piece of memory: 12 bytes a token, and 12 more for sorting a whole vocabulary.
let shared: Candidates = {
  ids: new Int32Array(0),
  logits: new Float32Array(0),
  weights: new Float32Array(0),
  size: 0,
};

function room(count: number): Candidates {
  if (shared.ids.length < count) {
    shared = {
      ids: new Int32Array(count),
      logits: new Float32Array(count),
      weights: new Float32Array(count),
      size: 0,
    };
  }
  shared.size = 0;
  return shared;
}

/**
 * One pass over the logits, with a heap of the `count` best so far whose root is the least of them: only
 * a logit above the root costs more than a comparison, and in a shuffled vocabulary that happens about
 * count · ln(V / count) times.
 */
function selectLargest(logits: Float32Array, count: number, candidates: Candidates): void {
  const { ids, logits: kept } = candidates;
  let size = 0;
  // The root where the heap is full. Ids come in ascending order, so that an equal logit never replaces one.
  let threshold = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id];
    if (logit <= threshold) continue;
    if (Number.isNaN(logit)) throw logitNaN(id);
    if (size < count) {
      // Up from a new leaf.
      let at = size++;
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (!below(logit, id, kept[parent], ids[parent])) break;
        kept[at] = kept[parent];
        ids[at] = ids[parent];
        at = parent;
      }
      kept[at] = logit;
      ids[at] = id;
      if (size < count) continue;
    } else siftDown(kept, ids, size, logit, id);
    threshold = kept[0];
  }
  candidates.size = size;
  // Heap sort: the least goes to the end, again and again.
  for (let end = size - 1; end > 0; end--) {
    const logit = kept[end];
    const id = ids[end];
    kept[end] = kept[0];
    ids[end] = ids[0];
    siftDown(kept, ids, end, logit, id);
  }
}

/** Whether a token is less likely than another; of equals the higher id is. */
function below(logit: number, id: number, otherLogit: number, otherId: number): boolean {
  return logit < otherLogit || (logit === otherLogit && id > otherId);
}

/** Puts a token in place of the root of a heap of `size`, and down to where it belongs. */
function siftDown(kept: Float32Array, ids: Int32Array, size: number, logit: number, id: number): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && below(kept[child + 1], ids[child + 1], kept[child], ids[child])) child++;
    if (!below(kept[child], ids[child], logit, id)) break;
    kept[at] = kept[child];
    ids[at] = ids[child];
    at = child;
  }
  kept[at] = logit;
  ids[at] = id;
}

const floats = new Float32Array(1);
const words = new Uint32Array(floats.buffer);

const counts = new Uint32Array(3 * 2048);
let scratch = { keys: new Uint32Array(0), otherKeys: new Uint32Array(0), otherIds: new Int32Array(0) };

/**
 * Radix sort in three passes of 11 bits: an f32's bits, turned around where it is positive, ascend as the
 * logits descend. The passes keep the order of equals, which begins with the lower id.
 */
function sortAll(logits: Float32Array, candidates: Candidates): void {
  if (scratch.keys.length < logits.length) {
    scratch = {
      keys: new Uint32Array(logits.length),
      otherKeys: new Uint32Array(logits.length),
      otherIds: new Int32Array(logits.length),
    };
  }
  // Three passes end in the other arrays of the two than they begin with.
  let { keys, otherKeys: nextKeys }: { keys: Uint32Array; otherKeys: Uint32Array } = scratch;
  let ids: Int32Array = scratch.otherIds;
  let nextIds: Int32Array = candidates.ids;
  let size = 0;
  counts.fill(0);
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id];
    if (logit === Number.NEGATIVE_INFINITY) continue;
    if (Number.isNaN(logit)) throw logitNaN(id);
    floats[0] = logit + 0; // −0 becomes +0, its equal
    const key = (words[0] & 0x80000000) === 0 ? words[0] ^ 0x7fffffff : words[0];
    keys[size] = key;
    ids[size++] = id;
    counts[key & 2047]++;
    counts[2048 + ((key >>> 11) & 2047)]++;
    counts[4096 + (key >>> 22)]++;
  }
  for (let pass = 0; pass < 3; pass++) {
    let start = 0;
    for (let digit = 2048 * pass; digit < 2048 * (pass + 1); digit++) {
      const count = counts[digit];
      counts[digit] = start;
      start += count;
    }
    for (let i = 0; i < size; i++) {
      const to = counts[2048 * pass + ((keys[i] >>> (11 * pass)) & 2047)]++;
      nextKeys[to] = keys[i];
      nextIds[to] = ids[i];
    }
    [keys, nextKeys] = [nextKeys, keys];
    [ids, nextIds] = [nextIds, ids];
  }
  for (let i = 0; i < size; i++) candidates.logits[i] = logits[candidates.ids[i]];
  candidates.size = size;
}
