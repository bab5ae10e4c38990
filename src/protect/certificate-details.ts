import { type DerValue, derTag, derValues } from "./der.ts";

/** What a certificate says that Node's X509Certificate does not tell. */
export interface CertificateDetails {
  /** Whether the key may make signatures; undefined where the certificate does not say. */
  readonly digitalSignature?: boolean;
  /** How many authorities may stand between this one and the signer; undefined: any number. */
  readonly pathLength?: number;
  /** Whether the issuer signed over a hash of the SHA-2 family, or with Ed25519. */
  readonly strongSignature: boolean;
  /** Critical extensions with a meaning that we do not know, as the bytes of their ids. */
  readonly unknownCritical: readonly string[];
}

const extensionsTag = 0xa3;
const ids = {
  keyUsage: "85.29.15",
  subjectAltName: "85.29.17",
  basicConstraints: "85.29.19",
  extendedKeyUsage: "85.29.37",
};

/**
 * Signature algorithms for certificates, as the bytes of their ids. What is left out is MD5 and SHA-1,
 * of which someone else's certificate can have the same, and RSASSA-PSS, whose hash is in parameters.
 * Source: RFC 5758, section 3.2; RFC 4055, section 5; RFC 8410, section 3
 */
const strongSignatures = new Set([
  ...[2, 3, 4].map((hash) => `42.134.72.206.61.4.3.${hash}`),
  ...[11, 12, 13].map((hash) => `42.134.72.134.247.13.1.1.${hash}`),
  "43.101.112",
]);

/**
 * Reads the extensions of a certificate that OpenSSL has decoded already.
 *
 * @param der  the whole certificate
 * @throws RangeError on broken DER
 * Source: RFC 5280, sections 4.1 and 4.2.1
 */
export function certificateDetails(der: Uint8Array): CertificateDetails {
  const [certificate] = derValues(der);
  const [body, algorithm] = derValues(certificate.content);
  const wrapped = derValues(body.content).find(({ tag }) => tag === extensionsTag);
  const extensions = wrapped ? derValues(derValues(wrapped.content)[0].content) : [];
  let digitalSignature: boolean | undefined;
  let pathLength: number | undefined;
  const unknownCritical: string[] = [];
  for (const extension of extensions) {
    const [id, ...rest] = derValues(extension.content);
    const name = id.content.join(".");
    const critical = rest[0]?.tag === derTag.boolean && rest[0].content[0] !== 0;
    const value = rest.at(-1)?.content ?? new Uint8Array();
    // A bit string counts its unused bits in a byte before the bits; digitalSignature is the first.
    if (name === ids.keyUsage) digitalSignature = (derValues(value)[0].content[1] & 0x80) !== 0;
    else if (name === ids.basicConstraints) pathLength = pathLengthOf(derValues(value)[0]);
    else if (critical && name !== ids.subjectAltName && name !== ids.extendedKeyUsage) {
      unknownCritical.push(name);
    }
  }
  const strongSignature = strongSignatures.has(derValues(algorithm.content)[0].content.join("."));
  return { digitalSignature, pathLength, strongSignature, unknownCritical };
}

function pathLengthOf(constraints: DerValue): number | undefined {
  const length = derValues(constraints.content).find(({ tag }) => tag === derTag.integer);
  return length?.content.reduce((sum, byte) => sum * 256 + byte, 0);
}
