import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Metadata } from "../../src/bytes/metadata.ts";
import { chatPrompt, encodeChat, type Message } from "../../src/tokens/chat.ts";
import { createTokenizer } from "../../src/tokens/tokenizer.ts";
import { root } from "../support/shared.ts";
import { codeOf, metadataOf } from "./files.ts";
import { byteLevel } from "./vocabularies.ts";

const messages: Message[] = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Hello." },
  { role: "user", content: "A story, please." },
];

describe("the model that comes with the package", async () => {
  const metadata = await metadataOf(join(root, "models/clavis-stories-q8_0.gguf"));
  const tokenizer = createTokenizer(metadata);
  // As its card describes its turns.
  const turns = "<|user|>\nHi<|end|>\n<|assistant|>\nHello.<|end|>\n<|user|>\nA story, please.<|end|>\n";

  test("asks for an answer", () => {
    expect(chatPrompt(metadata, tokenizer, messages)).toBe(`${turns}<|assistant|>\n`);
  });

  test("or does not", () => {
    expect(chatPrompt(metadata, tokenizer, messages, { addGenerationPrompt: false })).toBe(turns);
  });

  test("the ids begin with bos and have each turn's special tokens", () => {
    const ids = [...encodeChat(metadata, tokenizer, messages)];
    expect(ids[0]).toBe(tokenizer.bos);
    expect(ids.filter((id) => tokenizer.isControl(id)).map((id) => tokenizer.text(id))).toEqual([
      ...[
        "<|endoftext|>",
        "<|user|>",
        "<|end|>",
        "<|assistant|>",
        "<|end|>",
        "<|user|>",
        "<|end|>",
        "<|assistant|>",
      ],
    ]);
    expect(tokenizer.decode(ids, { special: true })).toBe(`<|endoftext|>${turns}<|assistant|>\n`);
  });
});

function templated(template: string, extra = {}) {
  const base = byteLevel([], { bos_token_id: 65, ...extra });
  const values = new Map(Array.from(base.keys(), (key) => [key, base.get(key)!]));
  const metadata = new Metadata(values.set("tokenizer.chat_template", template));
  return { metadata, tokenizer: createTokenizer(metadata) };
}

test("bos comes once, whether the template writes it or not", () => {
  const first = (template: string) => {
    const { metadata, tokenizer } = templated(template, { add_bos_token: true });
    return [...encodeChat(metadata, tokenizer, messages)].slice(0, 2);
  };
  // Token 65 is "A", here in the role of bos.
  expect(first("{{ bos_token }}x")).toEqual([65, 120]);
  expect(first("x")).toEqual([65, 120]);
});

test("the template sees eos_token, tools and further names", () => {
  const { metadata, tokenizer } = templated("{{ eos_token }} {{ tools[0].name }} {{ enable_thinking }}");
  const options = { tools: [{ name: "clock" }], context: { enable_thinking: false } };
  expect(chatPrompt(metadata, tokenizer, messages, options)).toBe("<|end|> clock false");
});

test("without tools the template sees none", () => {
  const { metadata, tokenizer } = templated("{{ tools is defined }}");
  expect(chatPrompt(metadata, tokenizer, messages)).toBe("false");
});

test("a model without a template says so, and what to do", () => {
  const metadata = byteLevel([]);
  const call = () => chatPrompt(metadata, createTokenizer(metadata), messages);
  expect(codeOf(call)).toBe("chat.no_template");
  expect(call).toThrow(/--raw/);
});

test("what the template raises is passed on", () => {
  const { metadata, tokenizer } = templated("{{ raise_exception('Only user turns, please') }}");
  expect(() => chatPrompt(metadata, tokenizer, messages)).toThrow(/Only user turns, please/);
});

test("a template past its budget is stopped", () => {
  const { metadata, tokenizer } = templated("{% for i in range(3000000) %}{% endfor %}");
  expect(codeOf(() => chatPrompt(metadata, tokenizer, messages))).toBe("template.budget");
});
