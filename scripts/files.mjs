// What the build scripts ask of files.
import { existsSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";

/** When a file was changed, in milliseconds since 1970; 0 where it is not there. */
export const changed = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** The newest change of these files, and of all files below these folders. */
export function newest(...paths) {
  const times = paths.map((path) =>
    statSync(path).isDirectory()
      ? Math.max(changed(path), ...readdirSync(path).map((name) => newest(join(path, name))))
      : changed(path),
  );
  return Math.max(...times);
}

/**
 * Has `write` fill a file of another name, which then takes the place of this one: nobody finds half of it.
 *
 * @param {string} path
 * @param {(unfinished: string) => void} write
 */
export function replace(path, write) {
  const unfinished = `${path}.${process.pid}.tmp`;
  write(unfinished);
  renameSync(unfinished, path);
}
