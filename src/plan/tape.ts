/**
 * The tape: a flat array of kernel calls, sixteen 32-bit words each, that every device runs.
 *
 * Words 0…7 mean the same in every call; words 8…15 are named per operation below. Offsets are bytes
 * into the arena, the one block of memory that holds every activation; strides are bytes from one row
 * to the next. Weights are indices into `Plan.weights`. Floats are stored as their bits.
 *
 * Rows: a call runs over the T tokens of a step or over the R rows whose logits are wanted, each
 * `repeat` times where the call has that word (row = token · repeat + j, at row · stride).
 *
 * Activations take one of two forms: f32, or "q8", a row of n values quantised per 32 as
 * docs/numerics.md says, in `q8RowBytes(n)` bytes. What lies inside a q8 row is the device's own
 * matter; the layout that the reference uses is n codes (i8), n/32 scales (f32), n/16 sums of sixteen codes (i32).
 */

export const tapeWords = 16;

/** Words that every call has. `out`, `a`, `b`: arena offsets, −1 where absent. */
export const common = {
  op: 0,
  rows: 1,
  out: 2,
  outStride: 3,
  a: 4,
  aStride: 5,
  b: 6,
  bStride: 7,
} as const;

/** Values of the word `rows`. */
export const rowsOf = { tokens: 0, wanted: 1 } as const;

/** Values of the word `form` of calls that can write their output quantised. */
export const formOf = { f32: 0, q8: 1 } as const;

/** Values of the word `style` of `rope`: which values of a head make a pair. */
export const ropeStyle = {
  /** (0, 1), (2, 3), … as in the llama files. */
  adjacent: 0,
  /** (i, i + rotated/2), as in GPT-NeoX. */
  halves: 1,
} as const;

/** Values of the word `function` of `gated` and `activate`. */
export const functionOf = { silu: 0, gelu: 1 } as const;

/**
 * Operations: number, and the names of words 8…15. Names that end in `Bits` hold an f32.
 *
 * - embed         out[t] = weight[token[t]] · scale; an integer weight is read as d·f32(scale·code) − dmin·f32(min)
 * - addPosition   out[t] = a[t] + weight[position[t]]
 * - ropeTable     out[t] = n/2 pairs (cos, sin) of position[t] · frequencies, times the magnitude scale; n = rotated values
 * - rmsNorm       out = rms(a) · weight over n values, for each of `groups` neighbours in a row (head by head); f32 or q8
 * - layerNorm     out = layer(a) · weight + bias; f32 or q8
 * - quantize      out (q8) = a (f32), n values
 * - matmul        out[n] = a[k] × weight[n, k] (+ bias) (+ b, the residual, where b ≥ 0); a is q8 for integer weights, else f32
 * - rope          out = a rotated by table b: `heads` heads of `n` values, the first `rotated` of each; values beyond are copied
 * - kvStore       keys a and values b, `heads` heads of n values each, to the cache of `layer`
 * - attention     out[heads · n] = attention of queries a over the cache of `layer`, `kvHeads` key heads; window 0 = all
 * - add           out = a + b, n values
 * - gated         out = function(a) · b, n values; f32 or q8
 * - activate      out = function(a), n values; f32 or q8
 * - softcap       out = cap · tanh(a / cap), n values
 * - gatherRows    out[r] = a[wanted[r]], n values; `rows` is wanted
 * - route         out[t] = `used` expert ids (i32), then `used` probabilities (f32); a = n router logits
 * - expertMatmul  out[t·used + j] = a × weight[expert j of token t]; a has a row per token (shared = 1) or per expert used (0); b = routes
 * - expertSum     out[t] = Σ_j probability[t, j] · a[t·used + j], n values; b = routes
 */
export const ops = {
  embed: { id: 1, words: ["weight", "n", "scaleBits"] },
  addPosition: { id: 2, words: ["weight", "n"] },
  ropeTable: { id: 3, words: ["weight", "n", "magnitudeBits"] },
  rmsNorm: { id: 4, words: ["weight", "n", "groups", "form", "epsBits"] },
  layerNorm: { id: 5, words: ["weight", "n", "bias", "form", "epsBits"] },
  quantize: { id: 6, words: ["n", "repeat"] },
  matmul: { id: 7, words: ["weight", "n", "k", "bias"] },
  rope: { id: 8, words: ["n", "heads", "rotated", "style"] },
  kvStore: { id: 9, words: ["layer", "n", "heads"] },
  attention: { id: 10, words: ["layer", "n", "heads", "kvHeads", "window", "scaleBits", "softcapBits"] },
  add: { id: 11, words: ["n"] },
  gated: { id: 12, words: ["n", "function", "form", "repeat"] },
  activate: { id: 13, words: ["n", "function", "form", "repeat"] },
  softcap: { id: 14, words: ["n", "capBits"] },
  gatherRows: { id: 15, words: ["n"] },
  route: { id: 16, words: ["n", "used", "normalize"] },
  expertMatmul: { id: 17, words: ["weight", "n", "k", "used", "shared"] },
  expertSum: { id: 18, words: ["n", "used"] },
} as const satisfies Record<string, { id: number; words: readonly string[] }>;

export type OpName = keyof typeof ops;

/** The index of a named word of an operation. */
export function wordOf<O extends OpName>(op: O, name: (typeof ops)[O]["words"][number]): number {
  return 8 + (ops[op].words as readonly string[]).indexOf(name);
}

/** Bytes of one quantised row of n values (32 divides n): codes, scales, sums of sixteen; a multiple of 64. */
export function q8RowBytes(n: number): number {
  return Math.ceil((n + (n / 32) * 4 + (n / 16) * 4) / 64) * 64;
}

/** Bytes of one f32 row of n values, rounded up to 64 so that rows start on cache lines. */
export function f32RowBytes(n: number): number {
  return Math.ceil((n * 4) / 64) * 64;
}

const bits = new DataView(new ArrayBuffer(4));

/** The bits of an f32 as a signed 32-bit word. */
export function floatBits(value: number): number {
  bits.setFloat32(0, value);
  return bits.getInt32(0);
}

/** The f32 that a 32-bit word holds. */
export function bitsFloat(word: number): number {
  bits.setInt32(0, word);
  return bits.getFloat32(0);
}
