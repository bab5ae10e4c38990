import { partNumber } from "./errors.ts";

/**
 * The names of all parts of a split model, in order, from the name of any of them:
 * `NAME-00002-of-00005.gguf` gives five. A name of another form gives only itself.
 *
 * @throws ClavisError `gguf.part_number` for part 0, or a part after the last
 */
export function partNames(name: string): string[] {
  const split = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/.exec(name);
  if (split === null) return [name];
  const [, stem, part, parts] = split;
  if (Number(part) < 1 || Number(part) > Number(parts)) throw partNumber(name, Number(part), Number(parts));
  return Array.from(
    { length: Number(parts) },
    (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${parts}.gguf`,
  );
}
