import { grouped } from "../errors.ts";
import { invalidField, invalidJson, jsonTooLarge, unknownField } from "./errors.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

const mostDepth = 32;
/** Counted in commas, brackets and braces. A model of 20,000 files takes about 100,000. */
const mostParts = 1_000_000;

/**
 * JSON from a stranger. Size and depth are counted before anything is built from it, because a few
 * bytes of text ("{},") can ask for fifty times as much memory.
 *
 * @throws ClavisError `protect.json`, `protect.json_size`
 */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  checkParts(bytes, what);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw invalidJson(what, "it is not UTF-8", error);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidJson(what, bytes.length === 0 ? "it is empty" : (error as Error).message, error);
  }
}

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];

function checkParts(bytes: Uint8Array, what: string): void {
  let depth = 0;
  let parts = 0;
  let inText = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (inText) {
      if (byte === backslash) i++;
      else if (byte === quote) inText = false;
    } else if (byte === quote) inText = true;
    else if (byte === comma) parts++;
    else if (byte === openBracket || byte === openBrace) {
      parts++;
      if (++depth > mostDepth) throw jsonTooLarge(what, "deeper nesting", `at most ${mostDepth} levels`);
    } else if (byte === closeBracket || byte === closeBrace) depth--;
    if (parts > mostParts) throw jsonTooLarge(what, "more values", `at most ${grouped(mostParts)}`);
  }
}

/** Reads the fields of one JSON object and says where in which document something is wrong. */
export class Fields {
  readonly #object: JsonObject;
  readonly #what: string;
  readonly #path: string;

  /** @throws ClavisError `protect.bundle` where the value is no object */
  constructor(value: unknown, what: string, path = "") {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw invalidField(what, path, kindOf(value), "an object");
    }
    this.#object = value as JsonObject;
    this.#what = what;
    this.#path = path;
  }

  /** @throws ClavisError `protect.bundle_field` for a field not in the list */
  only(...names: string[]): this {
    const extra = Object.keys(this.#object).find((name) => !names.includes(name));
    if (extra !== undefined) throw unknownField(this.#what, this.pathOf(extra));
    return this;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#object, name);
  }

  get(name: string): unknown {
    return this.has(name) ? this.#object[name] : undefined;
  }

  pathOf(name: string): string {
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }

  refuse(name: string, expected: string): never {
    throw invalidField(this.#what, this.pathOf(name), kindOf(this.get(name)), expected);
  }

  object(name: string): Fields {
    return new Fields(this.get(name), this.#what, this.pathOf(name));
  }

  /** A text that is not empty. */
  text(name: string): string {
    const value = this.get(name);
    if (typeof value !== "string" || value === "") this.refuse(name, "a text that is not empty");
    return value;
  }

  /** One of a few texts. */
  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.get(name);
    const found = allowed.find((one) => one === value);
    if (found === undefined) this.refuse(name, allowed.map((one) => JSON.stringify(one)).join(" or "));
    return found;
  }

  boolean(name: string): boolean {
    const value = this.get(name);
    if (typeof value !== "boolean") this.refuse(name, "true or false");
    return value;
  }

  list(name: string, least: number, most = Number.POSITIVE_INFINITY): readonly unknown[] {
    const value = this.get(name);
    if (!Array.isArray(value)) this.refuse(name, "a list");
    if (value.length < least || value.length > most) {
      const expected = least === most ? `a list of exactly ${least}` : `a list of ${least} to ${most}`;
      throw invalidField(this.#what, this.pathOf(name), `a list of ${grouped(value.length)}`, expected);
    }
    return value;
  }

  objects(name: string, least: number, most?: number): Fields[] {
    return this.list(name, least, most).map(
      (one, i) => new Fields(one, this.#what, `${this.pathOf(name)}[${i}]`),
    );
  }
}

function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  if (typeof value === "string") return value.length > 100 ? "a text" : JSON.stringify(value);
  return `${value}`;
}
