import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeGguf } from "../../src/bytes/gguf-writer.ts";
import type { MetadataEntry } from "../../src/bytes/metadata.ts";
import { writeFileWhole } from "../../src/bytes/node-file-sink.ts";
import { describeShared, root, sharedPath } from "./shared.ts";
import {
  architectures,
  type SyntheticOptions,
  synthesize,
  synthesizeTo,
  syntheticTypes,
} from "./synthetic.ts";

const script = "oracle/synth-gguf.mjs";

describeShared(script, "synthetic models are the generator's, byte for byte", () => {
  let folder: string;
  /** A few tokens, so that all types and architectures stay a matter of seconds. */
  let vocab: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "clavis-synthetic-"));
    vocab = join(folder, "vocab.gguf");
    const tokens = Array.from({ length: 40 }, (_, id) => `word${id}é`);
    const metadata: MetadataEntry[] = [
      ["general.name", "string", "not copied"],
      ["tokenizer.ggml.model", "string", "gpt2"],
      ["tokenizer.ggml.tokens", "string[]", tokens],
      ["tokenizer.ggml.scores", "f32[]", Float32Array.from(tokens, (_, id) => -id / 3)],
      ["tokenizer.ggml.token_type", "i32[]", Int32Array.from(tokens, () => 1)],
      ["tokenizer.ggml.add_bos_token", "bool", true],
      ["tokenizer.ggml.bos_token_id", "u32", 1],
    ];
    await writeFileWhole(vocab, (sink) => writeGguf(sink, { metadata, tensors: [] }));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const generated = (options: SyntheticOptions): Buffer => {
    const path = join(folder, "generated.gguf");
    const { vocab, arch, shape = "tiny", type = "q4_0", seed = 1 } = options;
    const args = ["--vocab", vocab, "--arch", arch, "--shape", shape, "--type", type, "--seed", String(seed)];
    execFileSync(process.execPath, [sharedPath(script), path, ...args]);
    return readFileSync(path);
  };

  test.each(architectures)("%s, every type", async (arch) => {
    for (const type of syntheticTypes) {
      if (/^iq[23]/.test(type)) continue; // the other generator has none of them
      const options: SyntheticOptions = { vocab, arch, shape: "1,256,256,4,1,64", type, seed: 11 };
      expect(Buffer.compare(await synthesize(options), generated(options)), type).toBe(0);
    }
  });

  test("tiny with a real vocabulary, to a file", async () => {
    const stories = join(root, "models/clavis-stories-q8_0.gguf");
    const options: SyntheticOptions = { vocab: stories, arch: "qwen3" };
    const path = join(folder, "ours.gguf");
    await synthesizeTo(path, options);
    expect(Buffer.compare(readFileSync(path), generated(options))).toBe(0);
  });
});
