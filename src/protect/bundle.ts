import { decodeBase64 } from "./base64.ts";
import { Fields, parseJson } from "./json.ts";

/** What a signature was made with, and the material to check it that the bundle brings. */
export type SigningMethod =
  | { readonly kind: "key" /** SHA-256 of the public key's PEM text, in hex. */; readonly hint?: string }
  /** DER, the signer's first. */
  | { readonly kind: "certificate"; readonly certificates: readonly Uint8Array[] }
  | { readonly kind: "sigstore" };

/** A sigstore bundle around a DSSE envelope with one signature. */
export interface Bundle {
  readonly method: SigningMethod;
  readonly payload: Uint8Array;
  /** ECDSA signature in DER. */
  readonly signature: Uint8Array;
}

export const bundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
export const payloadType = "application/vnd.in-toto+json";

const what = "the bundle";
/** Longer chains than this exist nowhere; each certificate costs a signature check. */
const mostCertificates = 16;

/**
 * Reads a bundle as OpenSSF Model Signing v1.0 describes it; nothing in it is verified yet.
 *
 * Bundles of the reference tool before 1.1 bring the key itself (`rawBytes`) instead of a hint; it is
 * left unread, since only the key that the caller trusts counts.
 *
 * @throws ClavisError `protect.json`, `protect.json_size`, `protect.bundle`, `protect.bundle_field`,
 *   `protect.base64`
 * Source: ossf/model-signing-spec schemas/v1.0; sigstore_bundle.proto
 */
export function parseBundle(bytes: Uint8Array): Bundle {
  const bundle = new Fields(parseJson(bytes, what), what);
  bundle.only("mediaType", "verificationMaterial", "dsseEnvelope");
  bundle.oneOf("mediaType", [bundleMediaType]);
  const method = parseMethod(bundle.object("verificationMaterial"));
  const envelope = bundle.object("dsseEnvelope").only("payload", "payloadType", "signatures");
  envelope.oneOf("payloadType", [payloadType]);
  // DSSE allows several signatures; sigstore_bundle.proto asks for exactly one.
  const [signature] = envelope.objects("signatures", 1, 1);
  signature.only("sig", "keyid");
  const keyId = signature.get("keyid");
  if (keyId !== undefined && keyId !== null && typeof keyId !== "string") {
    signature.refuse("keyid", "a text, null, or nothing");
  }
  return {
    method,
    payload: base64(envelope, "payload"),
    signature: base64(signature, "sig"),
  };
}

function parseMethod(material: Fields): SigningMethod {
  const methods = ["publicKey", "x509CertificateChain", "certificate"] as const;
  const given = methods.filter((name) => material.has(name));
  if (given.length !== 1) {
    material.refuse(given[1] ?? methods[0], `exactly one of ${methods.join(", ")}`);
  }
  if (material.has("tlogEntries")) material.objects("tlogEntries", 0);
  if (material.has("timestampVerificationData")) material.object("timestampVerificationData");
  switch (given[0]) {
    case "publicKey": {
      const key = material.object("publicKey");
      if (key.has("hint")) return { kind: "key", hint: key.text("hint") };
      key.text("rawBytes");
      return { kind: "key" };
    }
    case "x509CertificateChain": {
      const chain = material.object("x509CertificateChain");
      const certificates = chain.objects("certificates", 1, mostCertificates);
      return { kind: "certificate", certificates: certificates.map((one) => base64(one, "rawBytes")) };
    }
    default:
      base64(material.object("certificate"), "rawBytes");
      material.objects("tlogEntries", 1);
      return { kind: "sigstore" };
  }
}

function base64(fields: Fields, name: string): Uint8Array {
  return decodeBase64(fields.text(name), fields.pathOf(name));
}

/**
 * The bytes that a DSSE signature is made over: type and payload, each after its length.
 * Source: DSSE v1.0.2 protocol, https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
 */
export function preAuthenticationEncoding(payload: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `);
  const whole = new Uint8Array(head.length + payload.length);
  whole.set(head);
  whole.set(payload, head.length);
  return whole;
}
