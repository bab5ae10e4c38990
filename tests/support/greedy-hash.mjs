import { createHash } from "node:crypto";

// What the tests of same bits compare across processors. In JavaScript, so that a Node under an emulator can run it.

const promptTokens = 21;

/**
 * A hash of greedy tokens' logits, every bit of them, so of the tokens too.
 *
 * @param {(ids: number[]) => Promise<Float32Array>} step  appends ids to the sequence; the logits after the last
 * @param {number} vocabulary  ids of the prompt are below it
 * @param {number} tokens
 * @returns {Promise<string>}
 */
export async function greedyHash(step, vocabulary, tokens = 64) {
  const hash = createHash("sha256");
  let ids = Array.from({ length: promptTokens }, (_, i) => (i * 7919 + 13) % vocabulary);
  for (let i = 0; i < tokens; i++) {
    const logits = await step(ids);
    hash.update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    ids = [logits.indexOf(logits.reduce((most, logit) => Math.max(most, logit), -Infinity))];
  }
  return hash.digest("hex");
}
