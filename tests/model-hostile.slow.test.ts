import { describe, expect, test } from "vitest";
import { type GgufInput, memorySink, writeGguf } from "../src/bytes/gguf-writer.ts";
import { bufferSource } from "../src/bytes/source.ts";
import type { Device } from "../src/devices/device.ts";
import { nativeDevice } from "../src/devices/native/device.ts";
import { reference } from "../src/devices/reference/device.ts";
import { ClavisError } from "../src/errors.ts";
import { Model } from "../src/model.ts";
import { storiesPath } from "./support/golden.ts";
import { withMetadata, withoutMetadata, withoutTensor, withTensor } from "./support/hostile.ts";
import { addonFile } from "./support/native.ts";
import { type Architecture, architectures, syntheticModel } from "./support/synthetic.ts";

/** A model small enough to write a hundred times: one layer, width 64. */
const small = (arch: Architecture) =>
  syntheticModel({ vocab: storiesPath, arch, shape: "1,64,64,2,1,32", type: "f32", seed: 1 });

async function open(model: GgufInput, device: Device = reference): Promise<Model> {
  const sink = memorySink();
  await writeGguf(sink, model);
  return Model.open([bufferSource(sink.bytes(), "hostile.gguf")], [device], { sequences: 1, context: 32 });
}

/** What opening says: an error's code, or "opened". */
async function verdict(model: GgufInput, device?: Device): Promise<string> {
  try {
    const opened = await open(model, device);
    // What opens must also run, or fail with an error of ours.
    await opened.logits([1, 2, 3]);
    await opened.close();
    return "opened";
  } catch (error) {
    if (error instanceof ClavisError) return error.code;
    throw error;
  }
}

/** Native kernels trust what was checked before: a number that slipped through would end the process. */
const devices: readonly Device[] = addonFile ? [reference, nativeDevice({ threads: 2 })] : [reference];

const numbers = [0, 1, 3, 65, 2 ** 20 + 1, 2 ** 32 - 1];

describe.each(architectures)("%s", (arch) => {
  test("opens and answers as it is", async () => {
    expect(await verdict(await small(arch))).toBe("opened");
  });

  test("every number of its parameters falsified: an error of ours, or a model that runs", async () => {
    const keys = [...(await small(arch)).metadata].filter(
      ([key, type]) => key.startsWith(`${arch}.`) && type === "u32",
    );
    expect(keys.length).toBeGreaterThan(4);
    for (const [key] of keys) {
      for (const value of numbers) {
        for (const device of devices) {
          const model = withMetadata(await small(arch), key, "u32", value);
          expect(await verdict(model, device), `${key} = ${value} on ${device.name}`).toMatch(
            /^(opened|(model|load|gguf|plan)\.[a-z_]+)$/,
          );
        }
      }
    }
  });

  test("every tensor in turn left out, or of another shape or type", async () => {
    const { tensors } = await small(arch);
    for (const { name, shape } of tensors) {
      expect(await verdict(withoutTensor(await small(arch), name)), `without ${name}`).toMatch(
        // Some parts are optional: a head that is also the embedding, biases that a file may have.
        name === "output.weight" ? /^opened$/ : /^(model\.tensor_missing|gguf\.metadata_missing)$/,
      );
      const wider = [shape[0] + 32, ...shape.slice(1)];
      expect(await verdict(withTensor(await small(arch), name, { shape: wider })), `${name} wider`).toMatch(
        /^model\./,
      );
      const integers = withTensor(await small(arch), name, { type: "I32" });
      expect(await verdict(integers), `${name} of integers`).toBe("model.tensor_type");
    }
  });
});

describe("metadata", () => {
  const cases: [title: string, code: string, change: (model: GgufInput) => GgufInput][] = [
    [
      "an unknown architecture",
      "model.architecture",
      (m) => withMetadata(m, "general.architecture", "string", "x\u0007"),
    ],
    ["no architecture", "gguf.metadata_missing", (m) => withoutMetadata(m, "general.architecture")],
    [
      "an unknown tokenizer",
      "tokens.model",
      (m) => withMetadata(m, "tokenizer.ggml.model", "string", "magic"),
    ],
    [
      "an unknown split rule",
      "tokens.pre",
      (m) => withMetadata(m, "tokenizer.ggml.pre", "string", "nonsense"),
    ],
    ["a norm's epsilon of NaN", "gguf.metadata_type", (m) => withMetadata(m, eps, "f32", NaN)],
    ["a negative epsilon", "model.parameter", (m) => withMetadata(m, eps, "f32", -1)],
    ["a rotary base of zero", "model.parameter", (m) => withMetadata(m, "llama.rope.freq_base", "f32", 0)],
    [
      "an unknown rotary scaling",
      "model.rope_scaling",
      (m) => withMetadata(m, "llama.rope.scaling.type", "string", "x"),
    ],
    [
      "an odd rotary width",
      "model.parameter",
      (m) => withMetadata(m, "llama.rope.dimension_count", "u32", 31),
    ],
    [
      "an id that ends answers out of range",
      "tokens.special_id",
      (m) => withMetadata(m, "tokenizer.ggml.eos_token_id", "u32", 99999),
    ],
    [
      "text where a number belongs",
      "gguf.metadata_type",
      (m) => withMetadata(m, "llama.block_count", "string", "2"),
    ],
    ["one token too few", "opened", dropLastToken],
    ["a tensor with no place", "model.tensor_unused", addTensor],
  ];
  const eps = "llama.attention.layer_norm_rms_epsilon";

  test.each(cases)("%s: %s", async (_title, code, change) => {
    expect(await verdict(change(await small("llama")))).toBe(code);
  });
});

/** A vocabulary shorter than the embedding: models are padded so; the surplus ids are never drawn. */
function dropLastToken(model: GgufInput): GgufInput {
  const shorter = [...model.metadata].map((entry) => {
    const [key, type, value] = entry;
    const perToken = ["tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.scores"].includes(
      key,
    );
    // The last token must not be one that a merge makes, or the vocabulary contradicts itself.
    if (key === "tokenizer.ggml.merges") return [key, type, (value as string[]).slice(0, -1)] as typeof entry;
    return perToken ? ([key, type, (value as string[]).slice(0, -1)] as typeof entry) : entry;
  });
  return { ...model, metadata: shorter };
}

function addTensor(model: GgufInput): GgufInput {
  const extra = {
    name: "blk.0.mystery.weight",
    type: "F32",
    shape: [4],
    data: [new Uint8Array(16)],
  } as const;
  return { ...model, tensors: [...model.tensors, extra] };
}

test("weights of NaN and infinity: the logits are refused, not drawn from", async () => {
  for (const value of [NaN, Infinity]) {
    const model = withTensor(await small("llama"), "output_norm.weight", {
      data: [new Uint8Array(new Float32Array(64).fill(value).buffer)],
    });
    const opened = await open(model);
    const stream = opened.generate([1, 2, 3], { sampling: { temperature: 0 }, maxTokens: 2 });
    await expect(stream.result).rejects.toMatchObject({ code: "sample.nan" });
    await opened.close();
  }
});
