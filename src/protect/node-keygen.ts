import { generateKeyPairSync } from "node:crypto";
import { rm, stat, writeFile } from "node:fs/promises";
import { keyExists, unwritable } from "./errors.ts";
import { keyHint } from "./node-keys.ts";

/** A pair of keys in two PEM files. */
export interface KeyPair {
  /** Path of the private key, readable by its owner alone. */
  readonly privateKey: string;
  readonly publicKey: string;
  /** How signatures name the key: SHA-256 of the public key's PEM text, in hex. */
  readonly hint: string;
}

/**
 * Makes a key pair on P-256 and writes NAME.pem (PKCS #8, mode 0600) and NAME.pub.pem.
 *
 * @param name  path and name without an ending
 * @throws ClavisError `protect.key_exists` where one of the files is there, `protect.write`
 */
export async function generateKeys(name: string): Promise<KeyPair> {
  const [privateKey, publicKey] = [`${name}.pem`, `${name}.pub.pem`];
  for (const path of [privateKey, publicKey]) {
    if (await stat(path).catch(() => undefined)) throw keyExists(path);
  }
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  await writeNew(privateKey, pair.privateKey.export({ type: "pkcs8", format: "pem" }), 0o600);
  try {
    await writeNew(publicKey, pair.publicKey.export({ type: "spki", format: "pem" }), 0o644);
  } catch (error) {
    await rm(privateKey, { force: true });
    throw error;
  }
  return { privateKey, publicKey, hint: keyHint(pair.publicKey) };
}

async function writeNew(path: string, text: string | Buffer, mode: number): Promise<void> {
  try {
    await writeFile(path, text, { flag: "wx", mode });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "EEXIST" ? keyExists(path) : unwritable(path, error);
  }
}
