import { type DerValue, derTag, derValues } from "./der.ts";

/** What the extensions of a certificate say that Node's X509Certificate does not tell. */
export interface CertificateExtensions {
  /** Whether the key may make signatures; undefined where the certificate does not say. */
  readonly digitalSignature?: boolean;
  /** How many authorities may stand between this one and the signer; undefined: any number. */
  readonly pathLength?: number;
  /** Critical extensions with a meaning that we do not know, as dotted ids. */
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
 * Reads the extensions of a certificate that OpenSSL has decoded already.
 *
 * @param der  the whole certificate
 * @throws RangeError on broken DER
 * Source: RFC 5280, sections 4.1 and 4.2.1
 */
export function certificateExtensions(der: Uint8Array): CertificateExtensions {
  const [certificate] = derValues(der);
  const [body] = derValues(certificate.content);
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
  return { digitalSignature, pathLength, unknownCritical };
}

function pathLengthOf(constraints: DerValue): number | undefined {
  const length = derValues(constraints.content).find(({ tag }) => tag === derTag.integer);
  return length?.content.reduce((sum, byte) => sum * 256 + byte, 0);
}
