import { createHash, sign as signBytes } from "node:crypto";
import { rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { bundleMediaType, parseBundle, payloadType, preAuthenticationEncoding } from "./bundle.ts";
import { notASignature, nothingToSign, unwritable } from "./errors.ts";
import { hashOf, keyHint, readPrivateKey } from "./node-keys.ts";
import { hashFile, isFolder, listFiles, type ModelFile } from "./node-model-files.ts";
import { gitPaths, isIgnored, pathInside } from "./node-paths.ts";
import { readSignature, type Verified } from "./node-verify.ts";
import { predicateType, statementType } from "./statement.ts";

export interface SignOptions {
  /** Private key on P-256, P-384 or P-521: path of a PEM file, or PEM text. */
  readonly key: string;
  /** Where the signature goes. Default: `model.sig` in the folder; for a file its name with `.sig`. */
  readonly out?: string;
}

/**
 * Signs all files of a model's folder, or one file, in the form of the reference tool's version 1.1.
 *
 * Git's own files and the signature itself are left out, and the signature says so. An earlier signature
 * at the same place is replaced; anything else there is not.
 *
 * @returns what `verify` will say of it
 * @throws ClavisError `protect.key`, `protect.key_read`, `protect.link`, `protect.not_a_file`,
 *   `protect.read`, `protect.empty`, `protect.overwrite`, `protect.write`
 * Source: OpenSSF Model Signing v1.0
 */
export async function sign(path: string, { key: keySource, out }: SignOptions): Promise<Verified> {
  const key = await readPrivateKey(keySource);
  const folder = await isFolder(path);
  const signature = out ?? (folder ? join(path, "model.sig") : `${path}.sig`);
  await checkReplaceable(signature);

  const inside = folder ? pathInside(path, signature) : undefined;
  const ignored = [...gitPaths, ...(inside === undefined ? [] : [inside])];
  const files: ModelFile[] = folder
    ? await listFiles(path, isIgnored(ignored))
    : [{ name: basename(path), path }];
  if (files.length === 0) throw nothingToSign(path);

  const root = createHash("sha256");
  const resources: { name: string; algorithm: string; digest: string }[] = [];
  const signed: { name: string; bytes: number }[] = [];
  for (const file of files) {
    const { bytes, digests } = await hashFile(file, "sha256");
    root.update(digests[0], "hex");
    resources.push({ name: folder ? file.name : ".", algorithm: "sha256", digest: digests[0] });
    signed.push({ name: file.name, bytes });
  }
  const name = basename(resolve(path));
  const serialization = { method: "files", hash_type: "sha256", allow_symlinks: false };
  const statement = {
    _type: statementType,
    subject: [{ name, digest: { sha256: root.digest("hex") } }],
    predicateType,
    predicate: {
      serialization: folder ? { ...serialization, ignore_paths: ignored } : serialization,
      resources,
    },
  };
  const payload = Buffer.from(JSON.stringify(statement, null, 2));
  const sig = signBytes(hashOf(key, "the key"), preAuthenticationEncoding(payload), key);
  const bundle = {
    mediaType: bundleMediaType,
    verificationMaterial: { publicKey: { hint: keyHint(key) }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString("base64"),
      payloadType,
      signatures: [{ sig: sig.toString("base64"), keyid: "" }],
    },
  };
  await writeWhole(signature, JSON.stringify(bundle));
  return { name, method: "key", signer: keyHint(key), signature, files: signed, signedFiles: signed.length };
}

/** A signature may take the place of one, and of nothing else: --out could name the model by mistake. */
async function checkReplaceable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return;
  try {
    parseBundle(await readSignature(path));
  } catch (error) {
    throw notASignature(path, error);
  }
}

/** The whole file or none of it: readers see the old signature until the new one is complete. */
async function writeWhole(path: string, text: string): Promise<void> {
  const unfinished = `${path}.${process.pid}.part`;
  try {
    await writeFile(unfinished, text, { flag: "wx" });
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw unwritable(path, error);
  }
}
