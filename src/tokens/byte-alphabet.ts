/**
 * The alphabet in which byte-level vocabularies write bytes: printable Latin-1 characters stand for
 * themselves, the other 68 bytes for U+0100 and up, in order. So a space (0x20) is "Ġ" (U+0120).
 * Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", published
 * encoder (bytes_to_unicode).
 */

/** [256] the character of each byte. */
export const characterOfByte: readonly string[] = alphabet();

/** [0x144] the byte of each character code, or -1. */
const byteOfCode = new Int16Array(0x144).fill(-1);
for (let byte = 0; byte < 256; byte++) byteOfCode[characterOfByte[byte].charCodeAt(0)] = byte;

function alphabet(): string[] {
  const characters: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
    characters.push(String.fromCharCode(printable ? byte : next++));
  }
  return characters;
}

const encoder = new TextEncoder();

/** The bytes that a byte-level token stands for; a text with other characters is taken as itself. */
export function bytesOfText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const byte = code < byteOfCode.length ? byteOfCode[code] : -1;
    if (byte < 0) return encoder.encode(text);
    bytes[i] = byte;
  }
  return bytes;
}
