/** What a ClavisError says: what was found, what was expected, and what to do next. */
export interface ErrorParts {
  /** The thing and its value, e.g. `"blk.17.ffn_down.weight" ends at byte 4,683,073,536`. */
  readonly found: string;
  /** What would have been right, e.g. `at most 4,291,100,672, the size of model.gguf`. */
  readonly expected: string;
  /** What the reader can do, as a sentence, e.g. `The file is short; download it again.` */
  readonly next: string;
  readonly cause?: unknown;
}

/**
 * Every error that Clavis raises on purpose.
 *
 * `code` is stable and made of an area and a name (`gguf.tensor_bounds`); programs compare it,
 * people read the message, which joins the three parts.
 */
export class ClavisError extends Error {
  override readonly name = "ClavisError";
  readonly code: string;
  readonly found: string;
  readonly expected: string;
  readonly next: string;

  constructor(code: string, { found, expected, next, cause }: ErrorParts) {
    super(`${code}: ${found}; expected ${expected}. ${next}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.found = found;
    this.expected = expected;
    this.next = next;
  }

  /** The error as plain data, for `--json` output and logs. */
  toJSON(): { code: string; found: string; expected: string; next: string } {
    return { code: this.code, found: this.found, expected: this.expected, next: this.next };
  }
}

/** Whole numbers for people: 4683073536 becomes "4,683,073,536". */
export function grouped(value: number | bigint): string {
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

const shownCharacters = 80;

/** Text from a file, safe to show in a message: quoted, control characters escaped, shortened. */
export function quoted(text: string): string {
  const short =
    text.length > shownCharacters
      ? `${text.slice(0, shownCharacters)}… (${grouped(text.length)} characters)`
      : text;
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
