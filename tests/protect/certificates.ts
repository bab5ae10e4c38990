import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { keyPair } from "./files.ts";

// Certificates made for tests, since Node makes none. Source of the structure: RFC 5280, section 4.1.

export interface CertificateOptions {
  readonly subject: string;
  /** Undefined: signed by itself. */
  readonly issuer?: Certificate;
  readonly from?: Date;
  readonly to?: Date;
  /** Undefined: no basic constraints, so no authority. */
  readonly authority?: { readonly pathLength?: number };
  /** Bits of key usage from the first (0x80: digital signature, 0x04: certificates); undefined: not said. */
  readonly keyUsage?: number;
  readonly codeSigning?: boolean;
  /** Hosts that a server's certificate is for. */
  readonly hosts?: readonly string[];
  /** A critical extension that nobody knows. */
  readonly unknownCritical?: boolean;
  /** What the issuer signs over; default sha256. */
  readonly hash?: "sha1" | "sha256";
  /** In place of a new key pair. */
  readonly keys?: ReturnType<typeof keyPair>;
}

export interface Certificate {
  readonly der: Uint8Array;
  readonly pem: string;
  readonly subject: string;
  readonly privateKey: string;
  readonly publicKey: string;
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}

const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts);
const id = (...bytes: readonly number[]) => der(0x06, Buffer.from(bytes));
const yes = der(0x01, Buffer.from([0xff]));
const whole = (value: number) => der(0x02, Buffer.from([value]));
const ecdsa = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
const algorithms = { sha1: sequence(id(...ecdsa, 0x01)), sha256: sequence(id(...ecdsa, 0x03, 0x02)) };

const commonName = (name: string) =>
  sequence(der(0x31, sequence(id(0x55, 0x04, 0x03), der(0x0c, Buffer.from(name)))));

const time = (date: Date) => der(0x18, Buffer.from(date.toISOString().replace(/[-:T]|\.\d+/g, "")));

const extension = (bytes: readonly number[], critical: boolean, value: Uint8Array) =>
  sequence(id(...bytes), ...(critical ? [yes] : []), der(0x04, value));

let serial = 1;

export function certificate(options: CertificateOptions): Certificate {
  const { subject, issuer, authority, keyUsage, codeSigning, unknownCritical } = options;
  const { hash = "sha256" } = options;
  const algorithm = algorithms[hash];
  const { privateKey, publicKey } = options.keys ?? keyPair();
  const extensions: Buffer[] = [];
  if (authority) {
    const { pathLength } = authority;
    const constraints = sequence(yes, ...(pathLength === undefined ? [] : [whole(pathLength)]));
    extensions.push(extension([0x55, 0x1d, 0x13], true, constraints));
  }
  if (keyUsage !== undefined) {
    extensions.push(extension([0x55, 0x1d, 0x0f], true, der(0x03, Buffer.from([0, keyUsage]))));
  }
  if (codeSigning) {
    const purpose = sequence(id(0x2b, 6, 1, 5, 5, 7, 3, 3));
    extensions.push(extension([0x55, 0x1d, 0x25], false, purpose));
  }
  if (options.hosts) {
    const names = options.hosts.map((host) => der(0x82, Buffer.from(host)));
    extensions.push(extension([0x55, 0x1d, 0x11], false, sequence(...names)));
  }
  if (unknownCritical) extensions.push(extension([0x2a, 0x03, 0x04], true, yes));
  const body = sequence(
    der(0xa0, whole(2)),
    whole(serial++),
    algorithm,
    commonName(issuer?.subject ?? subject),
    sequence(time(options.from ?? new Date("2025-01-01")), time(options.to ?? new Date("2035-01-01"))),
    commonName(subject),
    createPublicKey(publicKey).export({ type: "spki", format: "der" }),
    ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
  );
  const signature = sign(hash, body, createPrivateKey(issuer?.privateKey ?? privateKey));
  const bytes = sequence(body, algorithm, der(0x03, Buffer.from([0]), signature));
  const base64 = bytes.toString("base64").replace(/.{64}/g, "$&\n").trim();
  const pem = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
  return { der: bytes, pem, subject, privateKey, publicKey };
}
