import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Gguf, openGguf } from "../../src/bytes/gguf.ts";
import { memorySink, writeGguf } from "../../src/bytes/gguf-writer.ts";
import { bufferSource } from "../../src/bytes/source.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { Model } from "../../src/model.ts";
import { type KvType, pagePositions } from "../../src/plan/plan.ts";
import { noise, SmallTape, stepOf, values } from "../kernels/small-tape.ts";
import { storiesPath } from "../support/golden.ts";
import { withMetadata } from "../support/hostile.ts";
import { describeNative } from "../support/native.ts";
import { syntheticModel } from "../support/synthetic.ts";

// 65,536 positions on a model of one layer: what comes out, against the model's formulas in doubles; and how much
// memory there is for it.

const context = 65_536;
const [width, heads, headWidth, threads] = [64, 1, 32, 2];
/** Which tokens the prompts are made of. */
const words = Array.from({ length: 300 }, (_, i) => 500 + i);
const prompt = (() => {
  const next = noise(11);
  return Array.from({ length: context }, () => words[Math.floor(((next() + 1) / 2) * words.length)]);
})();

/** A llama of one layer in f32, whose queries are so long that few keys of all decide. */
async function longModel(window: number): Promise<Uint8Array> {
  const shape = `1,${width},64,${heads},1,${headWidth}`;
  const small = await syntheticModel({ vocab: storiesPath, arch: "llama", shape, type: "f32", seed: 3 });
  const sink = memorySink();
  const long = withMetadata(small, "llama.context_length", "u32", context);
  await writeGguf(sink, withMetadata(long, "llama.attention.sliding_window", "u32", window));
  const bytes = sink.bytes();
  const queries = await tensorOf(bytes, await openGguf(bufferSource(bytes)), "blk.0.attn_q.weight");
  for (let i = 0; i < queries.length; i++) queries[i] *= 4;
  return bytes;
}

/** A tensor's values, where they lie. */
async function tensorOf(bytes: Uint8Array, { tensors }: Gguf, name: string): Promise<Float32Array> {
  const { offset, values } = tensors.get(name)!;
  return new Float32Array(bytes.buffer, bytes.byteOffset + offset, values);
}

const open = (bytes: Uint8Array, kvType: KvType, length = context) =>
  Model.open([bufferSource(bytes, "long.gguf")], [nativeDevice({ threads })], {
    ...{ context: length, kvType, sequences: 1, mode: "reproducible" },
  });

/** Logits after each of some prompts, in doubles. Source: the formulas of src/models/llama.ts. */
async function logitsInDoubles(bytes: Uint8Array, lengths: readonly number[], window: number) {
  const gguf = await openGguf(bufferSource(bytes));
  const weight = (name: string) => tensorOf(bytes, gguf, `${name}.weight`);
  const layer = (name: string) => weight(`blk.0.${name}`);
  const [embedding, attnNorm, ffnNorm, outNorm] = await Promise.all([
    ...[weight("token_embd"), layer("attn_norm"), layer("ffn_norm"), weight("output_norm")],
  ]);
  const [wq, wk, wv, wo] = await Promise.all(["attn_q", "attn_k", "attn_v", "attn_output"].map(layer));
  const [gate, up, down] = await Promise.all(["ffn_gate", "ffn_up", "ffn_down"].map(layer));
  const base = gguf.metadata.number("llama.rope.freq_base");

  const product = (matrix: Float32Array, x: readonly number[]): number[] =>
    Array.from({ length: matrix.length / x.length }, (_, row) =>
      x.reduce((sum, value, i) => sum + value * matrix[row * x.length + i], 0),
    );
  const norm = (x: readonly number[], scale: Float32Array): number[] => {
    const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => (value / Math.sqrt(mean + 1e-5)) * scale[i]);
  };
  const rotated = (x: readonly number[], position: number): number[] => {
    const y = [...x];
    for (let i = 0; i < headWidth; i += 2) {
      const angle = position * base ** (-i / headWidth);
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      y[i] = x[i] * c - x[i + 1] * s;
      y[i + 1] = x[i] * s + x[i + 1] * c;
    }
    return y;
  };
  const embedded = (id: number) => [...embedding.subarray(id * width, (id + 1) * width)];
  const kept = new Map(
    words.map((id) => {
      const a = norm(embedded(id), attnNorm);
      return [id, { key: product(wk, a), value: product(wv, a) }];
    }),
  );
  return lengths.map((length) => {
    const last = length - 1;
    const x = embedded(prompt[last]);
    const q = product(wq, norm(x, attnNorm));
    const first = window > 0 ? Math.max(0, length - window) : 0;
    const mixed = Array.from({ length: heads }, (_, head) => {
      const query = rotated(q.slice(head * headWidth, (head + 1) * headWidth), last);
      const scores: number[] = [];
      for (let t = first; t < length; t++) {
        const key = rotated(kept.get(prompt[t])!.key, t);
        scores.push(key.reduce((sum, value, i) => sum + value * query[i], 0) / Math.sqrt(headWidth));
      }
      const most = scores.reduce((one, other) => Math.max(one, other));
      const total = scores.reduce((sum, score) => sum + Math.exp(score - most), 0);
      const out = new Array<number>(headWidth).fill(0);
      scores.forEach((score, i) => {
        const share = Math.exp(score - most) / total;
        kept.get(prompt[first + i])!.value.forEach((value, e) => {
          out[e] += share * value;
        });
      });
      return out;
    }).flat();
    const added = product(wo, mixed).map((value, i) => value + x[i]);
    const f = norm(added, ffnNorm);
    const [g, u] = [product(gate, f), product(up, f)];
    const inner = g.map((value, i) => (value / (1 + Math.exp(-value))) * u[i]);
    const y = product(down, inner).map((value, i) => value + added[i]);
    return product(embedding, norm(y, outNorm));
  });
}

/** The largest difference, over the spread of the wanted logits. */
function difference(got: Float32Array, want: readonly number[]): number {
  const spread = Math.sqrt(want.reduce((sum, value) => sum + value * value, 0) / want.length);
  return want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0) / spread;
}

/** VmHWM of this process: the most memory it had since `resetPeak`. */
function peakBytes(): number {
  if (process.platform !== "linux") return 0;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "latin1"))![1]) * 1024;
}
function resetPeak(): void {
  if (process.platform === "linux") writeFileSync("/proc/self/clear_refs", "5");
}

describeNative("65,536 positions", () => {
  test.each([
    // A key's halves are within 2⁻¹² of it, its 8-bit codes within 1/254 of the largest of 32.
    ["f16", 0, 0.005],
    ["q8", 0, 0.05],
    ["f16", 1024, 0.005],
  ] as const)("%s, window %d: the logits of the formulas", async (kvType, window, allowed) => {
    const bytes = await longModel(window);
    const lengths = [40_001, 60_000, context];
    const want = await logitsInDoubles(bytes, lengths, window);
    const model = await open(bytes, kvType);
    resetPeak();
    const before = peakBytes();
    for (const [i, length] of lengths.entries()) {
      // Each goes on from the pages that the last one filled.
      const got = await model.logits(prompt.slice(0, length));
      expect(difference(got, want[i]), `after ${length} tokens`).toBeLessThan(allowed);
    }
    // Cache and arena are touched for the first time; JavaScript keeps the tokens. Scores of all queries with all
    // keys would be 17 GB, those of a step with all keys 134 MB.
    expect(peakBytes() - before).toBeLessThan(model.info.memoryBytes + 100e6);
    await model.close();
  });

  test("far positions matter to those logits", async () => {
    const bytes = await longModel(0);
    const [[whole], [near]] = await Promise.all(
      [0, 32_768].map((window) => logitsInDoubles(bytes, [context], window)),
    );
    expect(difference(Float32Array.from(near), whole)).toBeGreaterThan(0.1);
  });

  test.each(["f16", "q8"] as const)(
    "%s: memory grows with the context, not with its square",
    async (kvType) => {
      const bytes = await longModel(0);
      const memory = async (length: number) => {
        const model = await open(bytes, kvType, length);
        await model.close();
        return model.info.memoryBytes;
      };
      // Bytes of a position: its key and value; in each thread's scratch, where that is past 1 MiB, a row's scores.
      const keyAndValue = 2 * (kvType === "f16" ? headWidth * 2 : headWidth + (headWidth / 32) * 4);
      const scores = threads * heads * 4;
      const half = context / 2;
      const growth = ((await memory(context)) - (await memory(half))) / half;
      expect(growth).toBeGreaterThanOrEqual(keyAndValue);
      expect(growth).toBeLessThanOrEqual(keyAndValue + scores);
      // Weights are 1.2 MB; activations of 512 tokens and 2 MiB of scratch are the same for any length.
      expect(await memory(context)).toBeLessThan(context * (keyAndValue + scores) + 8e6);
    },
  );

  test("a window's cost is that of the window, however far the position", async () => {
    const [n, rows, window] = [32, 64, 512];
    const tape = new SmallTape(rows);
    const [q, k, v] = [1, 2, 3].map((seed) => tape.input(n, values(rows * n, seed)));
    const out = tape.region(n);
    tape.call("kvStore", { a: k, b: v }, { layer: 0, n, heads: 1 });
    const attend = { layer: 0, n, heads: 1, kvHeads: 1, scaleBits: 1, softcapBits: 0 };
    // Several times, so that the window is most of what a step does.
    for (let i = 0; i < 8; i++) tape.call("attention", { out, a: q }, { ...attend, window });
    const pages = context / pagePositions;
    const program = await nativeDevice({ threads: 1 }).program(tape.plan(out, { pages }, 1, pages));
    const table = Int32Array.from({ length: pages }, (_, page) => page);
    /** The least processor time of a few steps, in µs. */
    const cost = async (position: number) => {
      const step = { ...stepOf(rows, position), pageTables: [table] };
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 12; i++) {
        const start = process.cpuUsage();
        for (let j = 0; j < 8; j++) await program.run(step);
        const { user, system } = process.cpuUsage(start);
        least = Math.min(least, user + system);
      }
      return least;
    };
    // Without the window the second would see 64 times as many positions.
    const [near, far] = [await cost(1024), await cost(context - rows)];
    await program.close();
    expect(far / near).toBeLessThan(4);
  });
});
