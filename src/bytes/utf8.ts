/** Longer runs go to the platform's decoder, which has a fixed cost of about a microsecond. */
const longest = 128;
const units = new Uint16Array(longest);
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
  const end = at + length;
  let count = 0;
  while (at < end) {
    const first = bytes[at++];
    if (first < 0x80) {
      units[count++] = first;
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
      units[count++] = point;
    } else if (following === 2) {
      if (point < 0x800 || (point >= 0xd800 && point <= 0xdfff)) return undefined;
      units[count++] = point;
    } else {
      if (point < 0x10000 || point > 0x10ffff) return undefined;
      units[count++] = 0xd800 + ((point - 0x10000) >> 10);
      units[count++] = 0xdc00 + (point & 0x3ff);
    }
  }
  const list = (lists[count] ??= new Array(count).fill(0));
  for (let i = 0; i < count; i++) list[i] = units[i];
  return String.fromCharCode.apply(null, list);
}
