import * as errors from "./errors.ts";

/** Splits text into the words within which byte pairs are joined. */
export interface PreTokenizer {
  /** A word that is in the vocabulary as a whole becomes that token, whatever the merges say. */
  readonly wholeWords: boolean;
  /** Whether bos is added where the file does not say. */
  readonly addsBos: boolean;
  /** Whether the text is put into Unicode normalization form C first. */
  readonly composes: boolean;
  split(text: string, word: (word: string) => void): void;
}

// The expressions are those of the models' published tokenizer.json files, which run in Oniguruma.
// Differences to mind in JavaScript: \\s lacks U+0085 and has U+FEFF, so White_Space is spelt out;
// (?i:…) is too new for Node 20, so both cases are, with U+017F, which folds to s.
// Which expression goes with which name: llama.cpp's src/llama-vocab.cpp.

const space = "\\p{White_Space}";
const notSpace = "\\P{White_Space}";
/** White space, the last of it left to the word that follows. */
const spaces = `${space}+(?!${notSpace})|${space}+`;
/** White space that ends in line breaks. */
const breaks = `${space}*[\\r\\n]+`;

const contraction = "'s|'t|'re|'ve|'m|'ll|'d";
const anyCaseContraction = "'[sS\\u017f]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";

/** GPT-2's own: Radford et al. 2019. */
const gpt2 = `${contraction}| ?\\p{L}+| ?\\p{N}+| ?[^${space}\\p{L}\\p{N}]+|${spaces}`;

/** Those that came after cl100k_base; they differ in what is a letter, how many digits make a word, and ends. */
const modern = ({ letter = "\\p{L}", digits = "\\p{N}", contractions = `${anyCaseContraction}|` }) =>
  `${contractions}[^\\r\\n\\p{L}\\p{N}]?(?:${letter})+|${digits}` +
  `| ?[^${space}${letter.replace(/[[\]]/g, "")}\\p{N}]+[\\r\\n]*|${breaks}|${spaces}`;

const llama3 = modern({ digits: "\\p{N}{1,3}" });
const qwen2 = modern({});
const qwen35 = modern({ letter: "[\\p{L}\\p{M}]" });

/** Those of o200k_base: words also end where capitals follow small letters. */
function o200k(digits: string, suffix: string): string {
  const upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
  const lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
  const before = "[^\\r\\n\\p{L}\\p{N}]?";
  return (
    `${before}${upper}*${lower}+${suffix}|${before}${upper}+${lower}*${suffix}|${digits}` +
    `| ?[^${space}\\p{L}\\p{N}]+[\\r\\n/]*|${breaks}|${spaces}`
  );
}
const gpt4o = o200k("\\p{N}{1,3}", `(?:${anyCaseContraction})?`);

/** The cased letters that DeepSeek LLM's expression lists. */
const deepseekLetters =
  "A-Za-z\\u{b5}\\u{c0}-\\u{d6}\\u{d8}-\\u{f6}\\u{f8}-\\u{1ba}\\u{1bc}-\\u{1bf}\\u{1c4}-\\u{293}" +
  "\\u{295}-\\u{2af}\\u{370}-\\u{373}\\u{376}\\u{377}\\u{37b}-\\u{37d}\\u{37f}\\u{386}" +
  "\\u{388}-\\u{38a}\\u{38c}\\u{38e}-\\u{3a1}\\u{3a3}-\\u{3f5}\\u{3f7}-\\u{481}\\u{48a}-\\u{52f}" +
  "\\u{531}-\\u{556}\\u{10a0}-\\u{10c5}\\u{13a0}-\\u{13f5}\\u{13f8}-\\u{13fd}\\u{1c90}-\\u{1cba}" +
  "\\u{1cbd}-\\u{1cbf}\\u{1d00}-\\u{1d2b}\\u{1d6b}-\\u{1d77}\\u{1d79}-\\u{1d9a}\\u{1e00}-\\u{1f15}" +
  "\\u{1f18}-\\u{1f1d}\\u{1f20}-\\u{1f45}\\u{1f48}-\\u{1f4d}\\u{1f50}-\\u{1f57}\\u{1f59}\\u{1f5b}" +
  "\\u{1f5d}\\u{1f5f}-\\u{1f7d}\\u{1f80}-\\u{1fb4}\\u{1fb6}-\\u{1fbc}\\u{1fbe}\\u{1fc2}-\\u{1fc4}" +
  "\\u{1fc6}-\\u{1fcc}\\u{1fd0}-\\u{1fd3}\\u{1fd6}-\\u{1fdb}\\u{1fe0}-\\u{1fec}\\u{1ff2}-\\u{1ff4}" +
  "\\u{1ff6}-\\u{1ffc}\\u{2102}\\u{2107}\\u{210a}-\\u{2113}\\u{2115}\\u{2119}-\\u{211d}\\u{2124}" +
  "\\u{2126}\\u{2128}\\u{212a}-\\u{212d}\\u{212f}-\\u{2134}\\u{2139}\\u{213c}-\\u{213f}" +
  "\\u{2145}-\\u{2149}\\u{214e}\\u{2183}\\u{2184}\\u{2c00}-\\u{2c7b}\\u{2c7e}-\\u{2ce4}" +
  "\\u{2ceb}-\\u{2cee}\\u{2cf2}\\u{2cf3}\\u{a640}-\\u{a66d}\\u{a680}-\\u{a69b}\\u{a722}-\\u{a76f}" +
  "\\u{a771}-\\u{a787}\\u{a78b}-\\u{a78e}\\u{ab70}-\\u{abbf}\\u{fb00}-\\u{fb06}\\u{fb13}-\\u{fb17}" +
  "\\u{ff21}-\\u{ff3a}\\u{ff41}-\\u{ff5a}\\u{10400}-\\u{1044f}\\u{104b0}-\\u{104d3}" +
  "\\u{104d8}-\\u{104fb}\\u{10c80}-\\u{10cb2}\\u{10cc0}-\\u{10cf2}\\u{118a0}-\\u{118df}" +
  "\\u{1e900}-\\u{1e943}";
const deepseekIdeographs = "[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+";

const deepseek3 = [
  "\\p{N}{1,3}",
  "[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+",
  "[!-\\/:-@\\[-`\\{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" +
    `| ?[\\p{P}\\p{S}]+[\\r\\n]*|${breaks}|${spaces}`,
];

/** One step of splitting; "trailing space" stands for \\s+$, which as an expression is quadratic. */
type Stage = string | { readonly trailingSpace: true };

interface Rules {
  /** Applied in turn, each to every piece that the one before left; matches and gaps become pieces. */
  readonly stages: readonly Stage[];
  readonly names: readonly string[];
  readonly wholeWords?: boolean;
  readonly addsBos?: boolean;
  /** The tokenizer.json normalises to NFC; GGUF does not say so, the name has to. */
  readonly composes?: boolean;
}

const rules: readonly Rules[] = [
  {
    stages: [gpt2],
    names: [
      ...["default", "gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "jina-v1-en"],
      ...["jina-v2-code", "roberta-bpe", "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "jais"],
      ...["trillion", "granite-docling"],
    ],
  },
  { stages: [gpt2], names: ["mpt", "olmo"], composes: true },
  {
    stages: ["\\p{N}", gpt2],
    names: ["starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
  },
  { stages: ["\\p{N}", gpt2], names: ["command-r"], composes: true },
  { stages: ["[\\p{P}$+<=>^~|`]+", gpt2, "[0-9][0-9][0-9]"], names: ["falcon"] },
  {
    stages: [llama3],
    names: [
      ...["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
      "jina-v5-nano",
    ],
    wholeWords: true,
    addsBos: true,
  },
  { stages: [llama3], names: ["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"] },
  { stages: [qwen2], names: ["qwen2", "deepseek-r1-qwen", "megrez", "kormo", "f2llmv2"], composes: true },
  { stages: [qwen35], names: ["qwen35"], composes: true },
  { stages: [qwen2], names: ["stablelm2", "hunyuan", "solar-open", "grok-2"] },
  { stages: [modern({ contractions: "" })], names: ["ufakzeka"] },
  {
    stages: [
      "[\\r\\n]",
      `${space}?[${deepseekLetters}]+`,
      `${space}?[!-\\/:-~\\uff01-\\uff0f\\uff1a-\\uff5e\\u2018-\\u201f\\u3000-\\u3002]+`,
      { trailingSpace: true },
      deepseekIdeographs,
      "\\p{N}+",
    ],
    names: ["deepseek-llm"],
  },
  {
    stages: ["[\\r\\n]", `${space}?\\p{L}+`, `${space}?\\p{P}+`, deepseekIdeographs, "\\p{N}"],
    names: ["deepseek-coder"],
  },
  { stages: deepseek3, names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"] },
  { stages: [gpt4o], names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"] },
  { stages: [gpt4o], names: ["granite-embed-multi-97m"], wholeWords: true },
  { stages: [o200k("\\p{N}", "")], names: ["tekken"], wholeWords: true, addsBos: true },
  {
    stages: [" ?[^(\\p{White_Space}|.,!?\\u2026\\u3002\\uff0c\\u3001\\u0964\\u06d4\\u060c)]+"],
    names: ["poro-chat", "bloom", "gpt3-finnish"],
  },
  {
    stages: [" ?[^(\\p{White_Space}|.,!?\\u2026\\u3002\\uff0c\\u3001\\u0964\\u06d4\\u060c)]+", "\\p{N}"],
    names: ["viking"],
  },
  {
    stages: [
      `'(?:[sS\\u017fdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}` +
        `| ?[^${space}\\p{L}\\p{N}]+[\\r\\n]*|${space}*[\\r\\n]|${spaces}`,
    ],
    names: ["bailingmoe", "bailingmoe2", "llada-moe"],
  },
  {
    stages: [
      `${anyCaseContraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}` +
        `| ?[^${space}\\p{L}\\p{N}\\r\\n]+|${breaks}|${spaces}`,
    ],
    names: ["seed-coder"],
  },
];

const rulesOf: ReadonlyMap<string, Rules> = new Map(
  rules.flatMap((rule) => rule.names.map((name) => [name, rule])),
);

export const supportedPreTokenizers: readonly string[] = [...rulesOf.keys()].sort();

/** @throws ClavisError `tokens.pre` for a name whose rules are not known */
export function preTokenizer(name: string): PreTokenizer {
  const rule = rulesOf.get(name);
  if (rule === undefined) throw errors.unknownPre(name, supportedPreTokenizers);
  const { stages, wholeWords = false, addsBos = false, composes = false } = rule;
  const split = splitter(stages);
  return {
    wholeWords,
    addsBos,
    composes,
    split(text, word) {
      try {
        split(text, word);
      } catch (error) {
        // V8 gives an expression 64 MiB to note where it may have to go back to: 16 bytes for each
        // character of a word.
        throw error instanceof RangeError ? errors.wordLength(error) : error;
      }
    },
  };
}

type Split = PreTokenizer["split"];

/** Each call makes its own expressions: they carry lastIndex. */
function splitter(stages: readonly Stage[]): Split {
  const [only] = stages;
  if (stages.length === 1 && typeof only === "string" && only.endsWith(spaces))
    return covering(new RegExp(only, "uy"));
  return stages.reduceRight<Split>(
    (rest, stage) => (typeof stage === "string" ? isolating(new RegExp(stage, "gu"), rest) : trailing(rest)),
    (text, word) => word(text),
  );
}

/**
 * One expression that matches at every position of a text, since it ends with white space of any
 * kind. `test` makes no match object, which a sticky expression does not need.
 */
function covering(expression: RegExp): Split {
  return (text, word) => {
    for (let start = 0; start < text.length; ) {
      expression.lastIndex = start;
      if (!expression.test(text)) throw new Error(`${expression} does not match at ${start}`);
      word(text.slice(start, expression.lastIndex));
      start = expression.lastIndex;
    }
  };
}

/** Gives matches and the gaps between them to the next step, each by itself: its look-ahead ends there. */
function isolating(expression: RegExp, rest: Split): Split {
  return (text, word) => {
    let last = 0;
    expression.lastIndex = 0;
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      if (match.index > last) rest(text.slice(last, match.index), word);
      rest(match[0], word);
      last = expression.lastIndex;
    }
    if (last < text.length) rest(last === 0 ? text : text.slice(last), word);
  };
}

/** Splits off the white space at the end. */
function trailing(rest: Split): Split {
  const isSpace = /\p{White_Space}/u;
  return (text, word) => {
    let end = text.length;
    while (end > 0 && isSpace.test(text[end - 1])) end--;
    if (end > 0) rest(text.slice(0, end), word);
    if (end < text.length) rest(text.slice(end), word);
  };
}
