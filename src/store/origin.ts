import { parseLocalName } from "./node-names.ts";
import type { StoreOptions } from "./options.ts";
import { findLocal } from "./resolve.ts";
import { storeOf } from "./store.ts";

/** Where a model is from, and when it was last used. */
export interface ModelOrigin {
  readonly from: "package" | "path" | "hub" | "url";
  /** Of its file, or of the first part of a split one; undefined where it is not on this machine. */
  readonly path?: string;
  /** Of the hub: owner/name, and the commit that the file is from. */
  readonly repo?: string;
  readonly commit?: string;
  readonly url?: string;
  /** When Clavis last used it, in milliseconds since 1970; undefined where it never did. */
  readonly usedAt?: number;
}

/**
 * Where the model of a name is from, without the network.
 *
 * @throws ClavisError `model.not_found`, `model.name`
 */
export async function originOf(name: string, options: StoreOptions = {}): Promise<ModelOrigin> {
  const store = storeOf(options);
  const parsed = parseLocalName(name);
  const found = await findLocal(store, parsed);
  const path = found?.paths[0];
  const usedAt = found && (await store.records.usedAt(found.blobs[0]));
  switch (parsed.kind) {
    case "builtIn":
      return { from: "package", path };
    case "path":
      return { from: "path", path };
    case "url":
      return { from: "url", url: parsed.url.href, path, usedAt };
    case "hub":
      return { from: "hub", repo: parsed.repo, commit: found?.commit, path, usedAt };
  }
}
