import type { Tokenizer } from "./tokenizer.ts";

/**
 * Turns ids into text as they come. A character whose bytes are spread over several tokens is given
 * out with the last of them, so no piece holds half a character; the pieces together are what
 * `tokenizer.decode` gives for all ids.
 */
export class StreamDecoder {
  private readonly tokenizer: Tokenizer;
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  private stripsSpace: boolean;

  /**
   * @param options.continues  the ids go on with a text that came before, so a leading space belongs
   *   to it and is kept; default false
   */
  constructor(tokenizer: Tokenizer, { continues = false }: { continues?: boolean } = {}) {
    this.tokenizer = tokenizer;
    this.stripsSpace = tokenizer.addsSpacePrefix && !continues;
  }

  /** The text that an id completes, possibly none. */
  push(id: number): string {
    return this.stripped(this.decoder.decode(this.tokenizer.bytes(id), { stream: true }));
  }

  /** What is left: U+FFFD for a character that was never completed, or nothing. */
  end(): string {
    return this.stripped(this.decoder.decode());
  }

  private stripped(text: string): string {
    if (!this.stripsSpace || text === "") return text;
    this.stripsSpace = false;
    return text.startsWith(" ") ? text.slice(1) : text;
  }
}
