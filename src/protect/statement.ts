import { unsupportedHash, wrongPredicate } from "./errors.ts";
import { Fields, parseJson } from "./json.ts";

export type HashType = "sha256" | "blake2b";

/** How the files of a model were listed and hashed. */
export interface Serialization {
  /** `files`: one digest a file. `shards`: one for each `shardBytes` of it. */
  readonly method: "files" | "shards";
  readonly hashType: HashType;
  readonly shardBytes?: number;
  readonly allowSymlinks: boolean;
  /** Paths that were left out, with all below them; undefined in signatures before version 1.1. */
  readonly ignorePaths?: readonly string[];
}

/** What one digest is of. */
export interface Resource {
  /** Path from the model's root with "/" between its parts; "." where the model is one file. */
  readonly path: string;
  /** First byte and the one after the last, where the file is signed in shards. */
  readonly range?: { readonly start: number; readonly end: number };
  /** In hex. */
  readonly digest: string;
}

/** What is signed: the digests of a model's files. */
export interface Statement {
  /** The name that the model had when it was signed. */
  readonly subject: string;
  /** SHA-256 of all digests in the order of `resources`, in hex. */
  readonly rootDigest: string;
  readonly serialization: Serialization;
  readonly resources: readonly Resource[];
}

export const statementType = "https://in-toto.io/Statement/v1";
export const predicateType = "https://model_signing/signature/v1.0";

const what = "the signed statement";
/** Characters; Linux opens no longer ones. */
const longestPath = 4096;
/** Characters of a digest in hex. The reference tool's blake2b gives 64 bytes. */
const digestLength: Readonly<Record<HashType, number>> = { sha256: 64, blake2b: 128 };

/**
 * Reads the in-toto statement of a model's signature. Whether the digests fit is checked elsewhere.
 *
 * @throws ClavisError `protect.json`, `protect.json_size`, `protect.bundle`, `protect.bundle_field`,
 *   `protect.predicate`, `protect.hash_type`
 * Source: ossf/model-signing-spec schemas/v1.0, statement and predicate
 */
export function parseStatement(payload: Uint8Array): Statement {
  const statement = new Fields(parseJson(payload, what), what);
  statement.only("_type", "subject", "predicateType", "predicate");
  statement.oneOf("_type", [statementType]);
  const type = statement.text("predicateType");
  if (type !== predicateType) throw wrongPredicate(type, predicateType);
  const [subject] = statement.objects("subject", 1, 1);
  const predicate = statement.object("predicate").only("resources", "serialization");
  const serialization = parseSerialization(predicate.object("serialization"));
  const resources = predicate.objects("resources", 1).map((one) => parseResource(one, serialization));
  checkUnique(predicate, resources);
  return {
    subject: subject.text("name"),
    rootDigest: hex(subject.object("digest"), "sha256", digestLength.sha256),
    serialization,
    resources,
  };
}

function parseSerialization(fields: Fields): Serialization {
  fields.only("method", "hash_type", "shard_size", "allow_symlinks", "ignore_paths");
  const method = fields.oneOf("method", ["files", "shards"]);
  const shardBytes = fields.get("shard_size");
  if (method === "files" ? shardBytes !== undefined : !isWhole(shardBytes) || shardBytes === 0) {
    fields.refuse("shard_size", method === "files" ? "nothing for whole files" : "a whole number of bytes");
  }
  return {
    method,
    hashType: hashType(fields, "hash_type"),
    shardBytes: shardBytes as number | undefined,
    allowSymlinks: fields.boolean("allow_symlinks"),
    ignorePaths: fields.has("ignore_paths")
      ? fields.list("ignore_paths", 0).map((one) => {
          if (typeof one !== "string" || one === "") fields.refuse("ignore_paths", "a list of paths");
          // The reference tool writes folders with and without the slash. A path that leads out of the
          // model names no file of it, and so leaves nothing out.
          return one.replace(/\/$/, "");
        })
      : undefined,
  };
}

function parseResource(fields: Fields, { method, hashType: expected }: Serialization): Resource {
  const name = fields.text("name");
  if (name.length > longestPath) fields.refuse("name", `at most ${longestPath} characters`);
  const algorithm = hashType(fields, "algorithm");
  if (algorithm !== expected) fields.refuse("algorithm", `${expected}, as hash_type says`);
  const digest = hex(fields, "digest", digestLength[algorithm]);
  if (method === "files") {
    if (name !== "." && !isRelativePath(name)) fields.refuse("name", "a path inside the model");
    return { path: name, digest };
  }
  const [, path, start, end] = /^(.+):(\d{1,16}):(\d{1,16})$/su.exec(name) ?? [];
  const range = { start: Number(start), end: Number(end) };
  const right = isWhole(range.start) && isWhole(range.end) && range.start <= range.end;
  if (!right || (path !== "." && !isRelativePath(path))) fields.refuse("name", "path:start:end");
  return { path, range, digest };
}

function checkUnique(predicate: Fields, resources: readonly Resource[]): void {
  const seen = new Set<string>();
  for (const { path, range } of resources) {
    const key = range ? `${path}:${range.start}` : path;
    if (seen.has(key)) predicate.refuse("resources", `${JSON.stringify(path)} once`);
    seen.add(key);
  }
  // A model that is one file has no other.
  if (resources.some(({ path }) => path === ".") && resources.some(({ path }) => path !== ".")) {
    predicate.refuse("resources", 'either the one file "." or the files of a folder');
  }
}

function hashType(fields: Fields, name: string): HashType {
  const type = fields.oneOf(name, ["sha256", "blake2b", "blake3"]);
  if (type === "blake3") throw unsupportedHash(type);
  return type;
}

function hex(fields: Fields, name: string, length: number): string {
  const text = fields.text(name);
  if (text.length !== length || !/^[0-9a-f]+$/.test(text)) fields.refuse(name, `${length} hex digits`);
  return text;
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Whether a path stays below where it starts, written in its one shortest way. */
function isRelativePath(path: string): boolean {
  return (
    !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}
