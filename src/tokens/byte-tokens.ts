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
