import { createHash, type KeyObject } from "node:crypto";
import { open, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type Bundle, parseBundle, preAuthenticationEncoding } from "./bundle.ts";
import {
  fileAdded,
  fileChanged,
  fileRemoved,
  modelUnreadable,
  otherMethod,
  signatureMissing,
  signatureTooLarge,
  signsFolder,
  signsOneFile,
  wrongRoot,
} from "./errors.ts";
import { readCertificates, signerOf } from "./node-certificates.ts";
import { checkHint, checkSignature, keyHint, readPublicKey } from "./node-keys.ts";
import { hashFile, isFolder, isSystemError, listFiles, type ModelFile } from "./node-model-files.ts";
import { gitPaths, isIgnored, pathInside, withParents } from "./node-paths.ts";
import { parseStatement, type Resource, type Statement } from "./statement.ts";

/** Whom a signature is accepted from: the owner of any of the keys, or anyone an authority vouches for. */
export interface Trust {
  /** Public keys on P-256, P-384 or P-521: paths of PEM files, or PEM text. */
  readonly keys?: readonly string[];
  /** Certificates of authorities, likewise. */
  readonly authorities?: readonly string[];
}

export interface VerifyOptions extends Trust {
  /** Default: `model.sig` in the folder; for a file its name with `.sig`, else `model.sig` beside it. */
  readonly signature?: string;
}

/** A model whose files are as they were signed. */
export interface Verified {
  /** The name of the model when it was signed. */
  readonly name: string;
  readonly method: "key" | "certificate";
  /** The key's SHA-256 (of its PEM text), or the subject of the certificate. */
  readonly signer: string;
  readonly signature: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

/** A statement whose signature is good, and who made it. */
export interface Signed extends Pick<Verified, "method" | "signer" | "signature"> {
  readonly statement: Statement;
}

/** A signature of 100,000 files takes about 20 MB. */
const mostSignatureBytes = 32 * 2 ** 20;

/**
 * Checks that a model's files are exactly those that were signed: none changed, added, removed,
 * renamed or replaced by a link.
 *
 * @param path  the model's folder, or its file
 * @throws ClavisError `protect.*`; the message names the file
 * Source: OpenSSF Model Signing v1.0
 */
export async function verify(path: string, options: VerifyOptions): Promise<Verified> {
  const folder = await isFolder(path);
  const signature = options.signature ?? (await findSignature(path, folder));
  const { statement, ...signed } = await readSigned(signature, options);
  const files = folder ? await checkFolder(path, statement, signature) : await checkFile(path, statement);
  return { name: statement.subject, ...signed, files };
}

/** Where the signature of a model lies. @throws ClavisError `protect.unsigned` */
export async function findSignature(path: string, isFolder: boolean): Promise<string> {
  const places = isFolder ? [join(path, "model.sig")] : [`${path}.sig`, join(dirname(path), "model.sig")];
  for (const place of places) {
    if (
      await stat(place).then(
        (found) => found.isFile(),
        () => false,
      )
    ) {
      return place;
    }
  }
  throw signatureMissing(path, places);
}

/**
 * Reads a signature and checks that someone trusted made it.
 *
 * @throws ClavisError `protect.*`
 */
export async function readSigned(signature: string, trust: Trust): Promise<Signed> {
  const bundle = parseBundle(await readSignature(signature));
  const { key, method, signer } = await signerKey(bundle, trust);
  checkSignature(key, signer, preAuthenticationEncoding(bundle.payload), bundle.signature);
  const statement = parseStatement(bundle.payload);
  checkRoot(statement);
  return { statement, method, signer, signature };
}

/** @throws ClavisError `protect.read`, `protect.unsigned`, `protect.bundle_size` */
export async function readSignature(path: string): Promise<Uint8Array> {
  try {
    // Looked at before opening, because opening a named pipe waits for a writer.
    const found = await stat(path);
    if (!found.isFile()) throw signatureMissing(path, [path]);
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      if (size > mostSignatureBytes) throw signatureTooLarge(path, size, mostSignatureBytes);
      return await readFile(file);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw isSystemError(error) ? modelUnreadable(path, error) : error;
  }
}

async function signerKey(
  { method }: Bundle,
  { keys = [], authorities = [] }: Trust,
): Promise<{ key: KeyObject; method: "key" | "certificate"; signer: string }> {
  switch (method.kind) {
    case "key": {
      if (keys.length === 0) throw otherMethod("a key", "a certificate", "Name the key with --key.");
      const known = await Promise.all(keys.map(readPublicKey));
      // Without a hint, as before version 1.1, only one key can be meant.
      const key = known.find((one) => method.hint === keyHint(one)) ?? known[0];
      checkHint(method.hint, key);
      return { key, method: "key", signer: keyHint(key) };
    }
    case "certificate": {
      if (authorities.length === 0) {
        throw otherMethod("a certificate", "a key", "Name the certificate's authority with --ca.");
      }
      const trusted = (await Promise.all(authorities.map(readCertificates))).flat();
      const { key, name } = signerOf(method.certificates, trusted);
      return { key, method: "certificate", signer: name };
    }
    case "sigstore":
      throw otherMethod(
        "a Sigstore identity",
        "a key or a certificate",
        "Clavis does not verify identities; ask for a signature by key.",
      );
  }
}

function checkRoot({ resources, rootDigest }: Statement): void {
  const hash = createHash("sha256");
  for (const { digest } of resources) hash.update(digest, "hex");
  const found = hash.digest("hex");
  if (found !== rootDigest) throw wrongRoot(found, rootDigest);
}

async function checkFile(path: string, statement: Statement): Promise<Verified["files"]> {
  if (statement.resources[0].path !== ".") throw signsFolder(path);
  // The file that the caller names may be reached through a link; its bytes are what counts.
  const file = { name: basename(path), path };
  return [await checkDigests(file, statement.resources, statement, true)];
}

async function checkFolder(
  root: string,
  statement: Statement,
  signature: string,
): Promise<Verified["files"]> {
  const signed = byPath(statement.resources);
  if (signed.has(".")) {
    // The one file bears no path; the name that it was signed under stands for it.
    signed.set(statement.subject, signed.get(".")!);
    signed.delete(".");
  }
  const ignored = ignoredBy(statement, signed, pathInside(root, signature));
  const { allowSymlinks } = statement.serialization;
  const files = await listFiles(root, ignored, allowSymlinks);
  const present = new Set(files.map(({ name }) => name));
  const missing = [...signed.keys()].find((name) => !present.has(name));
  if (statement.resources[0].path === "." && (missing !== undefined || files.length !== 1)) {
    throw signsOneFile(root, statement.subject);
  }
  const added = files.find(({ name }) => !signed.has(name));
  if (missing !== undefined) throw fileRemoved(missing);
  if (added !== undefined) throw fileAdded(added.name);
  const checked: { name: string; bytes: number }[] = [];
  for (const file of files) {
    checked.push(await checkDigests(file, signed.get(file.name)!, statement, allowSymlinks));
  }
  return checked;
}

/** Resources by file; a file in shards has several, in order. */
export function byPath(resources: readonly Resource[]): Map<string, Resource[]> {
  const paths = new Map<string, Resource[]>();
  for (const resource of resources) {
    const same = paths.get(resource.path);
    if (same) same.push(resource);
    else paths.set(resource.path, [resource]);
  }
  for (const same of paths.values()) same.sort((a, b) => (a.range?.start ?? 0) - (b.range?.start ?? 0));
  return paths;
}

function ignoredBy(
  { serialization }: Statement,
  signed: ReadonlyMap<string, unknown>,
  signature: string | undefined,
): (name: string) => boolean {
  // Signatures before version 1.1 do not list what they leave out.
  const ignored = isIgnored(serialization.ignorePaths ?? gitPaths);
  // What is signed is checked even where a folder above it is to be ignored.
  const needed = new Set([...signed.keys()].flatMap((name) => [...withParents(name)]));
  return (name) => !needed.has(name) && (name === signature || ignored(name));
}

async function checkDigests(
  file: ModelFile,
  resources: readonly Resource[],
  { serialization }: Statement,
  allowSymlinks: boolean,
): Promise<{ name: string; bytes: number }> {
  const { hashType, shardBytes } = serialization;
  const { bytes, digests } = await hashFile(file, hashType, { shardBytes, allowSymlinks });
  for (let i = 0; i < Math.max(digests.length, resources.length); i++) {
    const [found, expected] = [digests[i], resources[i]?.digest];
    const place = shardBytes === undefined || isShard(resources[i], i, shardBytes, bytes);
    if (found !== expected || !place) {
      throw fileChanged(file.name, found ?? "none there", expected ?? "none there");
    }
  }
  return { name: file.name, bytes };
}

function isShard(resource: Resource | undefined, i: number, shardBytes: number, bytes: number): boolean {
  const start = i * shardBytes;
  const end = Math.min(bytes, start + shardBytes);
  return resource?.range?.start === start && resource.range.end === end;
}
