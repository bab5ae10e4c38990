import { createReadStream, fstatSync } from "node:fs";
import { quoted } from "../errors.ts";
import { inputFailed, inputJson, inputNotUtf8, inputTooLong } from "./errors.ts";

const limitBytes = 64 * 2 ** 20;

/** What stdin is connected to; `nothing` for /dev/null and a closed stdin. */
export function stdinKind(): "terminal" | "stream" | "nothing" {
  if (process.stdin.isTTY) return "terminal";
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isSocket() || stat.isFile() || stat.isDirectory() ? "stream" : "nothing";
  } catch {
    return "nothing";
  }
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Give up where nothing at all has come after so many milliseconds. */
  readonly patienceMs?: number;
}

/**
 * All of stdin as text.
 *
 * @returns nothing where patience ran out
 * @throws ClavisError `usage.utf8`, `usage.input_size`, `input.read`; the signal's reason
 */
export async function readText(options: ReadOptions = {}): Promise<string | undefined> {
  const bytes = await readBytes(options);
  return bytes && decoded(bytes, "stdin");
}

/**
 * All of a file as text; `-` is stdin.
 *
 * @throws ClavisError `usage.utf8`, `usage.input_size`, `input.read`; the signal's reason
 */
export async function readTextFile(path: string, signal?: AbortSignal): Promise<string> {
  if (path === "-") return (await readText({ signal }))!;
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // A stream, since the path may be a pipe.
    for await (const chunk of createReadStream(path, { signal })) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > limitBytes) break;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw inputFailed((error as Error).message, error, quoted(path));
  }
  if (size > limitBytes) throw inputTooLong(limitBytes, quoted(path));
  return decoded(Buffer.concat(chunks), quoted(path));
}

function decoded(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw inputNotUtf8(name);
  }
}

function readBytes({ signal, patienceMs }: ReadOptions): Promise<Uint8Array | undefined> {
  const { stdin } = process;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      stdin.off("data", onData).off("end", onEnd).pause();
      settle();
    };
    const onAbort = () => end(() => reject(signal!.reason));
    const onEnd = () => end(() => resolve(Buffer.concat(chunks)));
    const onData = (chunk: Buffer) => {
      clearTimeout(timer);
      chunks.push(chunk);
      size += chunk.length;
      if (size > limitBytes) end(() => reject(inputTooLong(limitBytes)));
    };
    const timer =
      patienceMs === undefined ? undefined : setTimeout(() => end(() => resolve(undefined)), patienceMs);
    signal?.addEventListener("abort", onAbort);
    stdin.on("data", onData).on("end", onEnd);
    // Stays, so that an error after the end of waiting does not end the process.
    stdin.on("error", (error) => end(() => reject(inputFailed(error.message, error))));
    if (signal?.aborted) onAbort();
  });
}

/**
 * The JSON list on stdin.
 *
 * @param expected  the form, for the message
 * @param isItem    whether an item of the list has the right form
 * @throws ClavisError `usage.json` saying what was found instead, and as `readText`
 */
export async function readJsonList<T>(
  expected: string,
  isItem: (item: unknown) => item is T,
  signal?: AbortSignal,
): Promise<T[]> {
  const text = (await readText({ signal }))!;
  if (text.trim() === "") throw inputJson("nothing", expected);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw inputJson(`text that is not JSON (${(error as Error).message})`, expected);
  }
  if (!Array.isArray(value)) throw inputJson(described(value), expected);
  for (const [i, item] of value.entries()) {
    if (!isItem(item)) throw inputJson(`${described(item)} as item ${i + 1} of the list`, expected);
  }
  return value;
}

export const isText = (item: unknown): item is string => typeof item === "string";

export const isIdList = (item: unknown): item is number[] =>
  Array.isArray(item) && item.every((id) => Number.isSafeInteger(id) && id >= 0);

function described(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) {
    const odd = value.find((id) => !(Number.isSafeInteger(id) && id >= 0));
    return odd === undefined
      ? "a list"
      : `a list with ${Array.isArray(odd) ? "a list" : described(odd)} in it`;
  }
  if (typeof value === "string") return `the text ${quoted(value)}`;
  return typeof value === "object" ? "an object" : `${value}`;
}
