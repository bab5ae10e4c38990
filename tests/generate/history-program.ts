import type { Batch, Program } from "../../src/devices/device.ts";
import { pagePositions } from "../../src/plan/plan.ts";
import type { Tokenizer } from "../../src/tokens/tokenizer.ts";

/** Letters a…z are tokens 0…25, token 26 is bos, token 27 ends, 28 and 29 are the two halves of "é". */
export const letters = 26;
export const bos = 26;
export const end = 27;
export const vocabulary = 32;

const utf8 = new TextEncoder();

/** A tokenizer as small as can be: a letter a token. */
export const tokenizer: Tokenizer = {
  kind: "bpe",
  vocabularySize: 30,
  bos,
  eos: end,
  addsBos: false,
  endTokens: new Set([end]),
  addsSpacePrefix: false,
  encode: (text, options) =>
    options?.special && text === "<26>"
      ? Int32Array.of(bos)
      : Int32Array.from(text, (letter) => letter.charCodeAt(0) - 97),
  decode: (ids) =>
    new TextDecoder().decode(Uint8Array.from(Array.from(ids).flatMap((id) => [...bytesOf(id)]))),
  bytes: bytesOf,
  text: (id) => (id < letters ? String.fromCharCode(97 + id) : `<${id}>`),
  isControl: (id) => id === bos || id === end,
};

function bytesOf(id: number): Uint8Array {
  if (id < letters) return utf8.encode(String.fromCharCode(97 + id));
  if (id === 28) return Uint8Array.of(0xc3);
  if (id === 29) return Uint8Array.of(0xa9);
  return new Uint8Array(0);
}

/** What the program below answers to a history of tokens: [vocabulary] logits. */
export type Logits = (history: readonly number[]) => Float32Array;

/** Logits that depend on every token of the history and its place. */
export const hashed: Logits = (history) => {
  let hash = 17;
  for (const token of history) hash = (Math.imul(hash, 31) + token + 1) | 0;
  return Float32Array.from({ length: vocabulary }, (_, id) => {
    if (id >= letters) return -100;
    const mixed = Math.imul(hash ^ (id * 0x9e3779b9), 0x85ebca6b) >>> 8;
    return (mixed / 2 ** 24) * 8;
  });
};

/** Logits that make an engine write `text` after a prompt of `promptLength` tokens, then end. */
export const script =
  (promptLength: number, ids: readonly number[]): Logits =>
  (history) => {
    const logits = new Float32Array(vocabulary).fill(-10);
    logits[ids[history.length - promptLength] ?? end] = 10;
    return logits;
  };

/**
 * A program whose cache keeps the token ids themselves. It finds the history of a token through the page
 * table, as attention does, so that a wrong page, a page written by two sequences or a position left out
 * shows as wrong tokens. It also checks each batch against the contract of `Batch`.
 */
export class HistoryProgram implements Program {
  readonly memoryBytes = 0;
  readonly threads = 1;
  readonly batches: Batch[] = [];
  readonly cache: Int32Array;
  private readonly logits: Logits;
  private readonly limits: { tokens: number; wanted: number; sequences: number; pagesPerSequence: number };
  /** Called before each step; may throw. */
  beforeStep: (batch: Batch) => void | Promise<void> = () => {};

  constructor(pages: number, limits: HistoryProgram["limits"], logits: Logits = hashed) {
    this.cache = new Int32Array(pages * pagePositions).fill(-1);
    this.limits = limits;
    this.logits = logits;
  }

  async run(batch: Batch): Promise<Float32Array> {
    this.check(batch);
    this.batches.push(batch);
    await this.beforeStep(batch);
    const { tokens, positions, slots, pageTables, wanted } = batch;
    const place = (slot: number, position: number) =>
      pageTables[slot][Math.floor(position / pagePositions)] * pagePositions + (position % pagePositions);
    for (let i = 0; i < tokens.length; i++) this.cache[place(slots[i], positions[i])] = tokens[i];
    const logits = new Float32Array(wanted.length * vocabulary);
    for (const [row, i] of wanted.entries()) {
      const history = Array.from({ length: positions[i] + 1 }, (_, p) => this.cache[place(slots[i], p)]);
      logits.set(this.logits(history), row * vocabulary);
    }
    return logits;
  }

  async close(): Promise<void> {}

  private check({ tokens, positions, slots, pageTables, wanted }: Batch): void {
    const { limits } = this;
    const fails = (what: string): never => {
      throw new Error(`batch breaks its contract: ${what}`);
    };
    if (tokens.length === 0 || tokens.length > limits.tokens) fails(`${tokens.length} tokens`);
    if (positions.length !== tokens.length || slots.length !== tokens.length) fails("lengths");
    if (pageTables.length > limits.sequences) fails(`${pageTables.length} sequences`);
    if (wanted.length > limits.wanted) fails(`${wanted.length} rows wanted`);
    for (let i = 1; i < wanted.length; i++) if (wanted[i] <= wanted[i - 1]) fails("wanted not ascending");
    const seen = new Set<number>();
    const written = new Set<number>();
    for (let i = 0; i < tokens.length; i++) {
      const sameSlot = i > 0 && slots[i] === slots[i - 1];
      if (!sameSlot && seen.has(slots[i])) fails("tokens of a sequence apart");
      if (sameSlot && positions[i] !== positions[i - 1] + 1) fails("positions not ascending");
      seen.add(slots[i]);
      const page = pageTables[slots[i]][Math.floor(positions[i] / pagePositions)];
      if (!(page >= 0 && page * pagePositions < this.cache.length)) fails(`page ${page}`);
      written.add(page);
    }
    for (const table of pageTables) if (table.length > limits.pagesPerSequence) fails("page table too long");
    // A page that this step writes to belongs to one sequence alone.
    for (const page of written) {
      if (pageTables.filter((table) => table.includes(page)).length !== 1) fails(`page ${page} is shared`);
    }
  }
}
