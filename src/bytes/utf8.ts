/** Longer runs go to the platform's decoder, which has a fixed cost of about a microsecond. */
const longest = 128;
/** A plain array per length: V8 makes a string from one four times as fast as from a typed array. */
const lists: number[][] = [];
const platform = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The text of `length` UTF-8 bytes from `at` on, or undefined where they are not valid UTF-8 (overlong
 * forms, surrogates and numbers above 10FFFF included). A byte order mark is kept.
 */
export function decodeUtf8(bytes: Uint8Array, at: number, length: number): string | undefined {
  if (length > longest) {
    try {
      return platform.decode(bytes.subarray(at, at + length));
    } catch {
      return undefined;
    }
  }
  // Nearly always every byte is a character, and the list has the right length from the start.
  const ascii = (lists[length] ??= new Array(length).fill(0));
  let count = 0;
  for (; count < length && bytes[at + count] < 0x80; count++) ascii[count] = bytes[at + count];
  if (count === length) return String.fromCharCode.apply(null, ascii);

  const end = at + length;
  const units = ascii.slice(0, count);
  at += count;
  while (at < end) {
    const first = bytes[at++];
    if (first < 0x80) {
      units.push(first);
      continue;
    }
    // The first byte gives the number of bytes that follow and the least code point that needs them.
    const following = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || at + following > end) return undefined;
    let point = first & (0x3f >> following);
    for (let i = 0; i < following; i++) {
      const next = bytes[at++];
      if ((next & 0xc0) !== 0x80) return undefined;
      point = (point << 6) | (next & 0x3f);
    }
    if (following === 1) {
      units.push(point);
    } else if (following === 2) {
      if (point < 0x800 || (point >= 0xd800 && point <= 0xdfff)) return undefined;
      units.push(point);
    } else {
      if (point < 0x10000 || point > 0x10ffff) return undefined;
      units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + (point & 0x3ff));
    }
  }
  return String.fromCharCode.apply(null, units);
}
