import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { type Bundle, parseBundle, preAuthenticationEncoding } from "./bundle.ts";
import {
  fileAdded,
  fileNotCovered,
  filesRemoved,
  modelUnreadable,
  otherKey,
  otherMethod,
  signatureMissing,
  signatureTooLarge,
  signsOneFile,
  wrongRoot,
  wrongSignature,
} from "./errors.ts";
import { readCertificates, signerOf } from "./node-certificates.ts";
import { isSignedBy, keyHint, readPublicKey } from "./node-keys.ts";
import { hashFile, isFolder, listFiles, type ModelFile } from "./node-model-files.ts";
import { gitPaths, isIgnored, pathInside, withParents } from "./node-paths.ts";
import { readSmallFile } from "./node-read.ts";
import { checkDigests } from "./node-verified-source.ts";
import { parseStatement, type Resource, type Statement } from "./statement.ts";

/** Whom a signature is accepted from: the owner of any of the keys, or anyone an authority vouches for. */
export interface Trust {
  /** Public keys on P-256, P-384 or P-521: paths of PEM files, or PEM text. */
  readonly keys?: readonly string[];
  /** Certificates of authorities, likewise. */
  readonly authorities?: readonly string[];
}

export interface VerifyOptions extends Trust {
  /**
   * Default: `model.sig` in the folder; for a file its name with `.sig`, else `model.sig` beside it or in the folder
   * above.
   */
  readonly signature?: string;
  /** Whether a file may be a link, as those of the Hugging Face cache are; its bytes are compared all the same. */
  readonly followLinks?: boolean;
}

/** A model, or a file of one, that is as it was signed. */
export interface Verified {
  /** The name of the model when it was signed. */
  readonly name: string;
  readonly method: "key" | "certificate";
  /** The key's SHA-256 (of its PEM text), or the subject of the certificate. */
  readonly signer: string;
  readonly signature: string;
  /** Those that were compared. */
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** How many files the signature names; more than were compared where one file of a folder was verified. */
  readonly signedFiles: number;
}

/** A statement whose signature is good, and who made it. */
export interface Signed extends Pick<Verified, "method" | "signer" | "signature"> {
  readonly statement: Statement;
}

/** A signature of 100,000 files takes about 20 MB. */
const mostSignatureBytes = 32 * 2 ** 20;

/**
 * Checks that a model's files are exactly those that were signed: none changed, added, removed,
 * renamed or replaced by a link. Of a file in a signed folder, only that file is looked at.
 *
 * @param path  the model's folder, or its file
 * @throws ClavisError `protect.*`; the message names the file
 * Source: OpenSSF Model Signing v1.0
 */
export async function verify(path: string, options: VerifyOptions): Promise<Verified> {
  const folder = await isFolder(path);
  const signature = options.signature ?? (await findSignature(path, folder));
  const { statement, ...signed } = await readSigned(signature, options);
  const files = folder
    ? await checkFolder(path, statement, signature)
    : [await checkFile(path, statement, signature, options.followLinks)];
  const signedFiles = new Set(statement.resources.map((resource) => resource.path)).size;
  return { name: statement.subject, ...signed, files, signedFiles };
}

/** Where the signature of a model lies. @throws ClavisError `protect.unsigned` */
export async function findSignature(path: string, isFolder: boolean): Promise<string> {
  const folder = isFolder ? path : dirname(resolve(path));
  const beside = join(folder, "model.sig");
  // Repositories keep the parts of a split model in a folder of their own, and sign the whole.
  const places = isFolder ? [beside] : [`${path}.sig`, beside, join(dirname(folder), "model.sig")];
  for (const place of places) {
    const found = await stat(place).catch(() => undefined);
    if (found?.isFile()) return place;
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
  const { method, signer } = await checkSigner(bundle, trust);
  const statement = parseStatement(bundle.payload);
  checkRoot(statement);
  return { statement, method, signer, signature };
}

/** @throws ClavisError `protect.read`, `protect.bundle_size` */
export async function readSignature(path: string): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readSmallFile(path, mostSignatureBytes);
  } catch (error) {
    throw modelUnreadable(path, error);
  }
  if (bytes === undefined) throw signatureTooLarge(path, mostSignatureBytes);
  return bytes;
}

async function checkSigner(
  { method, payload, signature }: Bundle,
  { keys = [], authorities = [] }: Trust,
): Promise<Pick<Verified, "method" | "signer">> {
  const signedBytes = preAuthenticationEncoding(payload);
  switch (method.kind) {
    case "key": {
      if (keys.length === 0) throw otherMethod("a key", "a certificate", "Name the key with --key.");
      const known = await Promise.all(keys.map(readPublicKey));
      const hints = known.map(keyHint);
      // Signatures before version 1.1 do not say by which key they are.
      const meant = method.hint === undefined ? known : known.filter((_, i) => hints[i] === method.hint);
      if (meant.length === 0) throw otherKey(method.hint!, hints);
      const key = meant.find((one) => isSignedBy(one, signedBytes, signature));
      if (key === undefined) throw wrongSignature();
      return { method: "key", signer: keyHint(key) };
    }
    case "certificate": {
      if (authorities.length === 0) {
        throw otherMethod("a certificate", "a key", "Name the certificate's authority with --ca.");
      }
      const trusted = (await Promise.all(authorities.map(readCertificates))).flat();
      const { key, name } = signerOf(method.certificates, trusted);
      if (!isSignedBy(key, signedBytes, signature)) throw wrongSignature();
      return { method: "certificate", signer: name };
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

/**
 * What a signature says of one file: as the one file that it is of, else under its path from the signature's folder.
 *
 * @throws ClavisError `protect.file_added`
 */
export function signedAs(path: string, { resources }: Statement, signature: string): readonly Resource[] {
  const files = byPath(resources);
  const inside = relative(dirname(resolve(signature)), resolve(path)).split(sep);
  // A signature that is kept elsewhere does not say where its folder is.
  const name = inside.includes("..") || inside.length > 2 ? basename(path) : inside.join("/");
  const found = files.get(".") ?? files.get(name);
  if (found === undefined) throw fileNotCovered(name, signature);
  return found;
}

function checkFile(
  path: string,
  statement: Statement,
  signature: string,
  followLinks = false,
): Promise<{ name: string; bytes: number }> {
  const resources = signedAs(path, statement, signature);
  const links = followLinks || statement.serialization.allowSymlinks;
  return checkSignedFile({ name: basename(path), path }, resources, statement, links);
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
  const missing = [...signed.keys()].filter((name) => !present.has(name));
  if (statement.resources[0].path === "." && (missing.length > 0 || files.length !== 1)) {
    throw signsOneFile(root, statement.subject);
  }
  const added = files.find(({ name }) => !signed.has(name));
  if (missing.length > 0) throw filesRemoved(missing, signed.size);
  if (added !== undefined) throw fileAdded(added.name);
  const checked: { name: string; bytes: number }[] = [];
  for (const file of files) {
    checked.push(await checkSignedFile(file, signed.get(file.name)!, statement, allowSymlinks));
  }
  return checked;
}

/** Resources by file; a file in shards has several, in order. */
function byPath(resources: readonly Resource[]): Map<string, Resource[]> {
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

async function checkSignedFile(
  file: ModelFile,
  resources: readonly Resource[],
  { serialization }: Statement,
  allowSymlinks: boolean,
): Promise<{ name: string; bytes: number }> {
  const { hashType, shardBytes } = serialization;
  const { bytes, digests } = await hashFile(file, hashType, { shardBytes, allowSymlinks });
  checkDigests(file.name, bytes, digests, resources, shardBytes);
  return { name: file.name, bytes };
}
