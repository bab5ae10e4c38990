import { type KeyObject, X509Certificate } from "node:crypto";
import { type CertificateDetails, certificateDetails } from "./certificate-details.ts";
import { invalidCertificate } from "./errors.ts";
import { pemBlocks, readPem } from "./node-keys.ts";

const codeSigning = "1.3.6.1.5.5.7.3.3";

interface Certificate {
  readonly name: string;
  readonly x509: X509Certificate;
  readonly details: CertificateDetails;
}

/** The certificates of a PEM file (or text). @throws ClavisError `protect.key_read`, `protect.certificate` */
export async function readCertificates(source: string): Promise<X509Certificate[]> {
  const { name, pem } = await readPem(source);
  const blocks = pemBlocks(pem, "CERTIFICATE");
  if (blocks.length === 0) throw invalidCertificate(name, "has no PEM block CERTIFICATE");
  return blocks.map((block) => decode(block, name).x509);
}

/**
 * The signer's key, where a chain of certificates leads from an authority to it.
 *
 * A bundle has no trusted time. As the reference tool does, validity is checked at the moment from
 * which the signer's certificate is valid: a model stays verifiable when that certificate expires.
 *
 * @param chain  DER, the signer's first
 * @param authorities  whom the caller trusts; each may be a root or below one
 * @throws ClavisError `protect.certificate`
 * Source: RFC 5280, section 6.1
 */
export function signerOf(
  chain: readonly Uint8Array[],
  authorities: readonly X509Certificate[],
): { readonly key: KeyObject; readonly name: string } {
  const [signer, ...others] = chain.map((der, i) => decode(der, `${i + 1} of the bundle`));
  const usage = signer.details.digitalSignature;
  if (usage !== true && !signer.x509.keyUsage?.includes(codeSigning)) {
    throw invalidCertificate(signer.name, "is not for signatures");
  }
  const time = Date.parse(signer.x509.validFrom);
  const trusted = authorities.map((x509) => decode(x509.raw, nameOf(x509)));
  if (!isTrusted(signer, trusted, others, time)) {
    throw invalidCertificate(signer.name, "was not issued by an authority that was given");
  }
  return { key: signer.x509.publicKey, name: nameOf(signer.x509) };
}

/**
 * Whether the signer's certificate is trusted, or a trusted one issued it, by itself or through others.
 *
 * Breadth first, and every certificate once: the shortest way to each is found, which is the one that
 * a limited path length allows soonest, and a ring of certificates costs no more than a chain.
 */
function isTrusted(
  signer: Certificate,
  trusted: readonly Certificate[],
  others: readonly Certificate[],
  time: number,
): boolean {
  const reached = [{ one: signer, below: 0 }];
  const rest = new Set(others);
  for (const { one, below } of reached) {
    if (!validAt(one, time)) continue;
    if (trusted.some((root) => root.x509.raw.equals(one.x509.raw))) return true;
    if (trusted.some((root) => validAt(root, time) && issued(root, one, below))) return true;
    for (const issuer of rest) {
      if (!issued(issuer, one, below)) continue;
      reached.push({ one: issuer, below: below + 1 });
      rest.delete(issuer);
    }
  }
  return false;
}

/** @param below  authorities that are below `issuer` and above the signer */
function issued(issuer: Certificate, one: Certificate, below: number): boolean {
  // checkIssued compares names and key identifiers, and whether the issuer may sign certificates.
  const may = issuer.x509.ca && below <= (issuer.details.pathLength ?? Number.POSITIVE_INFINITY);
  return (
    may &&
    one.details.strongSignature &&
    one.x509.checkIssued(issuer.x509) &&
    one.x509.verify(issuer.x509.publicKey)
  );
}

function validAt({ x509, details }: Certificate, time: number): boolean {
  const inTime = Date.parse(x509.validFrom) <= time && time <= Date.parse(x509.validTo);
  return inTime && details.unknownCritical.length === 0;
}

function decode(encoded: Uint8Array | string, name: string): Certificate {
  try {
    const x509 = new X509Certificate(encoded);
    // Decoded here, where a key that OpenSSL cannot read is refused in our words.
    x509.publicKey;
    return { name, x509, details: certificateDetails(x509.raw) };
  } catch (error) {
    throw invalidCertificate(name, "cannot be decoded", error);
  }
}

function nameOf(x509: X509Certificate): string {
  return x509.subject.replaceAll("\n", ", ");
}
