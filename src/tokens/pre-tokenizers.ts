import * as errors from "./errors.ts";

/** Splits text into the words within which byte pairs are joined. */
export interface PreTokenizer {
  /** A word that is in the vocabulary as a whole becomes that token, whatever the merges say. */
  readonly wholeWords: boolean;
  /** Whether bos is added where the file does not say. */
  readonly addsBos: boolean;
  split(text: string, word: (word: string) => void): void;
}

// The expressions below are those of the models' published tokenizer.json files, which run in
// Oniguruma. Differences to mind in JavaScript: \s lacks U+0085 and has U+FEFF, so White_Space is
// spelt out; and (?i:…) is too new for Node 20, so both cases are, with U+017F, which folds to s.

const space = "\\p{White_Space}";
const notSpace = "\\P{White_Space}";
const endOfSpace = `${space}+(?!${notSpace})|${space}+`;
const contraction = "'s|'t|'re|'ve|'m|'ll|'d";
const anyCaseContraction = "'[sS\\u017f]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";

const gpt2 = `${contraction}| ?\\p{L}+| ?\\p{N}+| ?[^${space}\\p{L}\\p{N}]+|${endOfSpace}`;
const llama3 = afterGpt4("\\p{N}{1,3}");
const qwen2 = afterGpt4("\\p{N}");

/** The expression of cl100k_base and its descendants, which differ in how many digits make a word. */
function afterGpt4(digits: string): string {
  return (
    `${anyCaseContraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^${space}\\p{L}\\p{N}]+[\\r\\n]*` +
    `|${space}*[\\r\\n]+|${endOfSpace}`
  );
}

interface Rules {
  /** Applied in turn, each to every piece that the one before left; matches and gaps become pieces. */
  readonly stages: readonly string[];
  readonly wholeWords?: boolean;
  readonly addsBos?: boolean;
}

const rules: Record<string, Rules> = {
  default: { stages: [gpt2] },
  "gpt-2": { stages: [gpt2] },
  "llama-bpe": { stages: [llama3], wholeWords: true, addsBos: true },
  qwen2: { stages: [qwen2] },
};

export const supportedPreTokenizers: readonly string[] = Object.keys(rules).sort();

/** @throws ClavisError `tokens.pre` for a name whose rules are not known */
export function preTokenizer(name: string): PreTokenizer {
  if (!Object.hasOwn(rules, name)) throw errors.unknownPre(name, supportedPreTokenizers);
  const { stages, wholeWords = false, addsBos = false } = rules[name];
  // Each call gets its own expressions: they carry lastIndex.
  const expressions = stages.map((stage) => new RegExp(stage, stages.length === 1 ? "uy" : "gu"));
  const split = expressions.length === 1 ? covering(expressions[0]) : staged(expressions, 0);
  return { wholeWords, addsBos, split };
}

/** One sticky expression that matches at every position of a text. `test` makes no match object. */
function covering(expression: RegExp): PreTokenizer["split"] {
  return (text, word) => {
    for (let start = 0; start < text.length; ) {
      expression.lastIndex = start;
      if (!expression.test(text)) throw new Error(`${expression} does not match at ${start}`);
      word(text.slice(start, expression.lastIndex));
      start = expression.lastIndex;
    }
  };
}

function staged(expressions: readonly RegExp[], depth: number): PreTokenizer["split"] {
  if (depth === expressions.length) return (text, word) => word(text);
  const expression = expressions[depth];
  const rest = staged(expressions, depth + 1);
  return (text, word) => {
    let last = 0;
    expression.lastIndex = 0;
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      if (match.index > last) rest(text.slice(last, match.index), word);
      rest(match[0], word);
      last = expression.lastIndex;
    }
    if (last < text.length) rest(text.slice(last), word);
  };
}
