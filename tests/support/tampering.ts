import { closeSync, openSync, readSync, statSync, utimesSync, writeSync } from "node:fs";

/** Changes a bit of a file's byte where it lies, and leaves its times as they were. */
export function changeInPlace(path: string, at: number): void {
  const { atime, mtime } = statSync(path);
  const file = openSync(path, "r+");
  const byte = new Uint8Array(1);
  readSync(file, byte, 0, 1, at);
  byte[0] ^= 1;
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
  utimesSync(path, atime, mtime);
}
