import { createHash, createPrivateKey, createPublicKey, type KeyObject, verify } from "node:crypto";
import { invalidKey, keyUnreadable } from "./errors.ts";
import { readSmallFile } from "./node-read.ts";

/** The hash that goes with each curve, by Node's names. Source: sigstore_common.proto, PublicKeyDetails. */
const hashOfCurve: Readonly<Record<string, string>> = {
  prime256v1: "sha256",
  secp384r1: "sha384",
  secp521r1: "sha512",
};

const mostPemBytes = 256 * 1024;

/**
 * PEM text as given, or from the file of that path.
 *
 * @throws ClavisError `protect.key_read`
 */
export async function readPem(source: string): Promise<{ readonly name: string; readonly pem: string }> {
  if (source.includes("-----BEGIN")) return { name: "the key given", pem: source };
  try {
    const bytes = await readSmallFile(source, mostPemBytes);
    if (bytes === undefined) throw new Error("it is too large for a PEM file");
    return { name: source, pem: Buffer.from(bytes).toString("latin1") };
  } catch (error) {
    throw keyUnreadable(source, error);
  }
}

/** @throws ClavisError `protect.key_read`, `protect.key` */
export async function readPublicKey(source: string): Promise<KeyObject> {
  const { name, pem } = await readPem(source);
  // Node would take a private key or a certificate too and derive the public key from it.
  const block = pemBlock(pem, "PUBLIC KEY");
  if (block === undefined) throw invalidKey(name, "no public key", "a PEM block PUBLIC KEY");
  return onKnownCurve(name, () => createPublicKey(block));
}

/** @throws ClavisError `protect.key_read`, `protect.key` */
export async function readPrivateKey(source: string): Promise<KeyObject> {
  const { name, pem } = await readPem(source);
  const expected = "a PEM block PRIVATE KEY without a passphrase";
  const block = pemBlock(pem, "PRIVATE KEY") ?? pemBlock(pem, "EC PRIVATE KEY");
  if (block === undefined) {
    const found = pem.includes("ENCRYPTED") ? "an encrypted private key" : "no private key";
    throw invalidKey(name, found, expected);
  }
  return onKnownCurve(name, () => createPrivateKey(block));
}

function onKnownCurve(name: string, create: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = create();
  } catch (error) {
    throw invalidKey(name, "a key that cannot be decoded", "an elliptic-curve key in PEM", error);
  }
  hashOf(key, name);
  return key;
}

/**
 * The hash that signatures with this key are made over.
 * @throws ClavisError `protect.key` for a key that is not on P-256, P-384 or P-521
 */
export function hashOf(key: KeyObject, name: string): string {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  const hash = curve === undefined ? undefined : hashOfCurve[curve];
  if (hash === undefined) {
    throw invalidKey(name, `a key of type ${curve ?? key.asymmetricKeyType}`, "one on P-256, P-384 or P-521");
  }
  return hash;
}

/** SHA-256 of the public key's PEM text, in hex: how a bundle names the key. */
export function keyHint(key: KeyObject): string {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "pem" }))
    .digest("hex");
}

/**
 * Whether the owner of a key signed these bytes.
 *
 * @param signature  ECDSA in DER; what is not DER is as wrong as any other
 */
export function isSignedBy(key: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean {
  const hash = hashOf(key, "the signer's certificate");
  try {
    return verify(hash, bytes, key, signature);
  } catch {
    return false;
  }
}

/** The first PEM block with this label; tools write text before it. */
function pemBlock(pem: string, label: string): string | undefined {
  const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  const start = pem.indexOf(begin);
  const stop = pem.indexOf(end, start);
  return start < 0 || stop < 0 ? undefined : `${pem.slice(start, stop + end.length)}\n`;
}

/** Every PEM block with this label. */
export function pemBlocks(pem: string, label: string): string[] {
  const blocks: string[] = [];
  for (let rest = pem; ; ) {
    const block = pemBlock(rest, label);
    if (block === undefined) return blocks;
    blocks.push(block);
    rest = rest.slice(rest.indexOf(block.trimEnd()) + block.length - 1);
  }
}
