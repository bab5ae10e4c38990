import { createHash } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "./shared.ts";
import { type Architecture, synthesize } from "./synthetic.ts";

const vocab = join(root, "models/clavis-stories-q8_0.gguf");

// SHA-256 of the files that the goldens' own generator (synth-gguf.mjs, not this code) wrote for these options.
test.each<[Architecture, string, number, string]>([
  ["llama", "q4_0", 1, "e02cceac3d454a3568cf785880eea5e0190a4c9beccb940302e4e1e5a4169678"],
  ["gpt2", "q6_k", 2, "ed63b4950a052185f5c9a135d031e9c5970e02807c07b508a4d79cefec959bd7"],
  ["qwen3moe", "mxfp4", 3, "9e164487b07a6019b2cb69ac67a21ad74410cbe94a81238d1d2493045b1786b8"],
  ["gemma3", "tq2_0", 4, "1f5ffc399319b7b851030c910814b27311994d417bb839414ada458bc4c17baa"],
  ["phi3", "bf16", 5, "b1bb9ec3e5ee33f2f49fe9f90ed341550b2775faabc14103348a325f1e1f5004"],
])("the synthetic %s in %s, seed %i, is the generator's", async (arch, type, seed, hash) => {
  const bytes = await synthesize({ vocab, arch, type, seed });
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(hash);
});
