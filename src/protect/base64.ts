import { invalidBase64 } from "./errors.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const notInAlphabet = 255;
const digitValue = new Uint8Array(128).fill(notInAlphabet);
for (let i = 0; i < alphabet.length; i++) digitValue[alphabet.charCodeAt(i)] = i;

/**
 * The bytes of standard base64 with padding. Exactly one text stands for any bytes: unused bits must be zero.
 *
 * @param path  where the text stands, for messages
 * @throws ClavisError `protect.base64`
 * Source: RFC 4648, section 4
 */
export function decodeBase64(text: string, path: string): Uint8Array {
  if (text.length % 4 !== 0) throw invalidBase64(path, "its length is not a multiple of 4");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const digits = text.length - padding;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < digits; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? digitValue[code] : notInAlphabet;
    if (value === notInAlphabet) throw invalidBase64(path, `character ${i + 1} is outside its alphabet`);
    bits = ((bits & 0xffff) << 6) | value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[at++] = bits >> held;
    }
  }
  if ((bits & ((1 << held) - 1)) !== 0) throw invalidBase64(path, "its unused bits are not zero");
  return bytes;
}
