import { fstatSync, writeSync } from "node:fs";
import { OutputClosed, outputFailed } from "./errors.ts";
import { visible } from "./format.ts";

/** Whether escapes that colour text may be written to a stream. */
export function coloured(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
}

/** Text in a fainter colour where the stream shows colours. */
export function faint(text: string, stream: NodeJS.WriteStream): string {
  return coloured(stream) ? `\u001b[2m${text}\u001b[22m` : text;
}

let isFile: boolean | undefined;

/**
 * Writes a result to stdout and waits until the system has taken it.
 *
 * @throws OutputClosed where the reader has gone, ClavisError `output.write` where there is no room
 */
export async function print(text: string): Promise<void> {
  try {
    isFile ??= fstatSync(1).isFile();
    if (isFile) writeWhole(text);
    else await written(process.stdout, text);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // A reader that closes early is how pipes end; a stream that failed before says so again.
    if (code === "EPIPE" || code === "ERR_STREAM_DESTROYED") throw new OutputClosed();
    throw outputFailed(message, error);
  }
}

/** Writes a part of an answer to stdout; on a terminal, control characters become visible signs. */
export function printAnswer(text: string): Promise<void> {
  return print(process.stdout.isTTY ? visible(text) : text);
}

/** Writes one JSON value and a line break to stdout. */
export function printJson(value: unknown): Promise<void> {
  return print(`${JSON.stringify(value)}\n`);
}

/** Writes a line for people to stderr; nobody reading it is no error. */
export function note(text: string): void {
  process.stderr.write(`${faint(text, process.stderr)}\n`);
}

/** Node's own stream drops the rest where a nearly full disk takes only a part. */
function writeWhole(text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

function written(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
