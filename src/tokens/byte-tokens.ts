import * as errors from "./errors.ts";
import type { IdList } from "./id-list.ts";
import { TokenType, type Vocabulary } from "./vocabulary.ts";

const encoder = new TextEncoder();
const form = /^<0x([0-9A-Fa-f]{2})>$/;

/** The tokens <0x00> to <0xFF>, by which a vocabulary spells the characters that it does not have. */
export class ByteTokens {
  private readonly unknown: number | undefined;
  /** [256] the token of each byte, or -1. */
  private readonly idOfByte = new Int32Array(256).fill(-1);
  private readonly byteOfId = new Map<number, number>();
  /** Whether every byte has its token, as in all published vocabularies that have any. */
  private readonly complete: boolean;

  constructor(vocabulary: Vocabulary) {
    this.unknown = vocabulary.unknown;
    for (let id = 0; id < vocabulary.texts.length; id++) {
      if (vocabulary.types[id] !== TokenType.byte) continue;
      const match = form.exec(vocabulary.texts[id]);
      if (match === null) throw errors.byteTokenForm(id, vocabulary.texts[id]);
      const byte = Number.parseInt(match[1], 16);
      this.idOfByte[byte] = id;
      this.byteOfId.set(id, byte);
    }
    this.complete = this.idOfByte.every((id) => id >= 0);
  }

  /** The byte of a byte token. */
  byte(id: number): number | undefined {
    return this.byteOfId.get(id);
  }

  /**
   * Spells a character by its UTF-8 bytes, or as the unknown token.
   *
   * @param follows  whether the character before became the unknown token too, which then stands for both
   * @returns        whether the character became the unknown token
   */
  spell(character: string, follows: boolean, out: IdList): boolean {
    const code = character.codePointAt(0)!;
    if (this.complete) {
      // UTF-8 by hand: hostile text may be all such characters, and an array for each would take most of the time.
      const { idOfByte } = this;
      if (code < 0x80) out.push(idOfByte[code]);
      else {
        if (code < 0x800) out.push(idOfByte[0xc0 | (code >> 6)]);
        else {
          if (code < 0x10000) out.push(idOfByte[0xe0 | (code >> 12)]);
          else {
            out.push(idOfByte[0xf0 | (code >> 18)]);
            out.push(idOfByte[0x80 | ((code >> 12) & 63)]);
          }
          out.push(idOfByte[0x80 | ((code >> 6) & 63)]);
        }
        out.push(idOfByte[0x80 | (code & 63)]);
      }
      return false;
    }
    const bytes = encoder.encode(character);
    if (bytes.every((byte) => this.idOfByte[byte] >= 0)) {
      for (const byte of bytes) out.push(this.idOfByte[byte]);
      return false;
    }
    if (this.unknown === undefined) throw errors.noTokenFor(`the character ${JSON.stringify(character)}`);
    if (!follows) out.push(this.unknown);
    return true;
  }
}
