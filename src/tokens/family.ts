import type { IdList } from "./id-list.ts";

/** How one family of tokenizers turns plain text into ids and ids into bytes. */
export interface Family {
  readonly kind: "bpe" | "spm" | "unigram" | "wordpiece";
  /** Whether text gains a leading space when it is encoded, which decoding takes away again. */
  readonly addsSpacePrefix: boolean;
  /** Whether bos and eos are added where the file does not say. */
  readonly addsBos: boolean;
  readonly addsEos: boolean;

  /**
   * Appends the ids of plain text, in which special tokens have been dealt with.
   *
   * @param text  well-formed UTF-16, not empty
   */
  encode(text: string, out: IdList): void;

  /** The bytes of a token that is not a control token. */
  bytes(id: number): Uint8Array;
}
