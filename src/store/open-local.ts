import { fstatSync } from "node:fs";
import { openModelFiles } from "../bytes/node-file.ts";
import type { ByteSource } from "../bytes/source.ts";
import { hashedSource } from "../protect/node-verified-source.ts";
import { damaged, notLocal } from "./errors.ts";
import { parseLocalName } from "./node-names.ts";
import type { StoreOptions } from "./options.ts";
import type { FileState } from "./records.ts";
import { expectedDigest, findLocal } from "./resolve.ts";
import { type Store, storeOf } from "./store.ts";

/**
 * Opens the files of a model that is on this machine. A downloaded one is compared with its digest the first
 * time, and with `verify` again. What is compared is the open file, so another that takes its name meanwhile is
 * not read; with `verify`, reads from it fail where a byte was changed after that.
 *
 * @throws ClavisError `model.not_found`, `model.not_local`, `model.name`, `model.no_quant`, `store.digest`,
 *   `source.*`; with `verify`, reads throw `protect.file_changing`
 */
export async function openLocal(name: string, options: StoreOptions = {}): Promise<ByteSource[]> {
  const store = storeOf(options);
  const parsed = parseLocalName(name);
  const found = await findLocal(store, parsed);
  if (found === undefined) throw notLocal(name);
  const sources = await openModelFiles(found.paths[0]);
  try {
    for (const [i, source] of sources.entries()) {
      const blob = found.blobs[i];
      const expected = blob === undefined ? undefined : await expectedDigest(parsed, blob);
      if (expected !== undefined) sources[i] = await checked(store, source, blob, expected);
    }
    if (parsed.kind === "hub" || parsed.kind === "url") await store.records.rememberUse(found.blobs[0], name);
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
  return sources;
}

/** The source whose bytes have this digest, now or when they were last computed. */
async function checked(
  { records, signal, verify, tell }: Store,
  source: ByteSource,
  blob: string,
  expected: string,
): Promise<ByteSource> {
  const before = stateOf(source);
  if (!verify && (await records.digestOf(blob, before)) === expected) return source;
  const progress = (doneBytes: number, allBytes: number) =>
    tell({ type: "checking", file: source.path!, doneBytes, allBytes });
  const { digests, hashed } = await hashedSource(source, { hashType: "sha256" }, { signal, progress });
  if (digests[0] !== expected) throw damaged(blob, digests[0], expected);
  const after = stateOf(source);
  const still = after.size === before.size && after.mtimeMs === before.mtimeMs;
  if (still) await records.rememberDigest(blob, expected, after);
  return verify ? hashed : source;
}

const stateOf = (source: ByteSource): FileState => fstatSync(source.descriptor!);
