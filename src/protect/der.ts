/** One value of a DER encoding. Source: ITU-T X.690, sections 8 and 10. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
}

export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  sequence: 0x30,
} as const;

/**
 * The values in a row of DER encodings, as the content of a SEQUENCE has them.
 * @throws RangeError where a length does not fit
 */
export function derValues(bytes: Uint8Array): DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at++];
    let length = bytes[at++];
    if (length >= 0x80) {
      // A certificate in a bundle has fewer than 2^24 bytes.
      const digits = length & 0x7f;
      if (digits === 0 || digits > 3) throw new RangeError("a DER length that no certificate has");
      length = 0;
      for (let i = 0; i < digits; i++) length = length * 256 + bytes[at++];
    }
    if (!(at + length <= bytes.length)) throw new RangeError("a DER value that ends outside the text");
    values.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return values;
}
