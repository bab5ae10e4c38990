import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClavisError } from "../../src/errors.ts";
import { readCertificates, signerOf } from "../../src/protect/node-certificates.ts";
import { sign } from "../../src/protect/node-sign.ts";
import { verify } from "../../src/protect/node-verify.ts";
import { certificate } from "./certificates.ts";
import { keyPair, refused, refusesInWords, testFolder, writeFiles } from "./files.ts";

const signing = 0x80;
const certifying = 0x04;
const root = certificate({ subject: "root", authority: {}, keyUsage: certifying });
const middle = certificate({ subject: "middle", issuer: root, authority: {}, keyUsage: certifying });
const signer = certificate({ subject: "signer", issuer: middle, keyUsage: signing });

type Made = ReturnType<typeof certificate>;

function check(chain: readonly Made[], authorities: readonly Made[]) {
  const trusted = authorities.map(({ der }) => new X509Certificate(der));
  return signerOf(
    chain.map(({ der }) => der),
    trusted,
  );
}

function isRefused(chain: readonly Made[], authorities: readonly Made[], reason = "not issued by"): void {
  expect(() => check(chain, authorities)).toThrow(new RegExp(`^protect\\.certificate: .*${reason}`));
}

describe("a chain of certificates", () => {
  test("leads from any authority on it to the signer", () => {
    expect(check([signer, middle], [root]).name).toBe("CN=signer");
    expect(check([signer], [middle]).name).toBe("CN=signer");
    expect(check([signer, middle, root], [root]).name).toBe("CN=signer");
    expect(check([signer], [root, middle]).name).toBe("CN=signer");
    expect(check([signer], [signer]).name).toBe("CN=signer");
    const { key } = check([signer, middle], [root]);
    expect(key.export({ type: "spki", format: "pem" })).toBe(signer.publicKey);
  });

  test("is refused where a link is missing, or another authority is trusted", () => {
    isRefused([signer], [root]);
    isRefused([signer, middle], []);
    isRefused([signer, middle], [certificate({ subject: "root", authority: {}, keyUsage: certifying })]);
    isRefused([signer, certificate({ subject: "middle", issuer: root, authority: {} })], [root]);
    // A root that the bundle brings is trusted by nobody.
    isRefused([signer, middle, root], [certificate({ subject: "other", authority: {} })]);
  });

  test("is refused where one on it is no authority", () => {
    const plain = certificate({ subject: "plain", issuer: root, keyUsage: signing });
    isRefused([certificate({ subject: "s", issuer: plain, keyUsage: signing }), plain], [root]);
    const mayNot = certificate({ subject: "may not", issuer: root, authority: {}, keyUsage: signing });
    isRefused([certificate({ subject: "s", issuer: mayNot, keyUsage: signing }), mayNot], [root]);
  });

  test("is refused where the signer's certificate is not for signatures", () => {
    const wrong = certificate({ subject: "s", issuer: root, keyUsage: 0x20 });
    isRefused([wrong], [root], "is not for signatures");
    isRefused([certificate({ subject: "s", issuer: root })], [root], "is not for signatures");
    check([certificate({ subject: "s", issuer: root, codeSigning: true })], [root]);
    check([certificate({ subject: "s", issuer: root, keyUsage: 0x20, codeSigning: true })], [root]);
  });

  test("keeps to the length that an authority allows", () => {
    const short = certificate({ subject: "short", authority: { pathLength: 0 }, keyUsage: certifying });
    const below = certificate({ subject: "below", issuer: short, authority: {}, keyUsage: certifying });
    const one = certificate({ subject: "one", authority: { pathLength: 1 }, keyUsage: certifying });
    const belowOne = certificate({ subject: "below one", issuer: one, authority: {}, keyUsage: certifying });
    const leaf = (issuer: Made) => certificate({ subject: "leaf", issuer, keyUsage: signing });
    check([leaf(short)], [short]);
    isRefused([leaf(below), below], [short]);
    check([leaf(belowOne), belowOne], [one]);
  });

  test("was valid when the signer's certificate was issued", () => {
    const [early, late] = [new Date("2026-01-01"), new Date("2027-01-01")];
    const old = certificate({ subject: "old", authority: {}, keyUsage: certifying, to: early });
    const leaf = (from: Date) => certificate({ subject: "leaf", issuer: old, keyUsage: signing, from });
    check([leaf(new Date("2025-06-01"))], [old]);
    isRefused([leaf(late)], [old]);
    const young = certificate({ subject: "young", authority: {}, keyUsage: certifying, from: late });
    isRefused([certificate({ subject: "leaf", issuer: young, keyUsage: signing })], [young]);
  });

  test("is refused where a critical extension is not understood", () => {
    const odd = certificate({ subject: "odd", issuer: root, keyUsage: signing, unknownCritical: true });
    isRefused([odd], [root]);
  });

  test("is refused where one on it was signed over SHA-1", () => {
    const weak = certificate({ subject: "weak", issuer: root, keyUsage: signing, hash: "sha1" });
    isRefused([weak], [root]);
  });

  test("comes to an end where certificates issue each other", () => {
    // One name and one key: each of them issued all of them, in 15! orders.
    const keys = keyPair();
    const ring = Array.from({ length: 15 }, () =>
      certificate({ subject: "ring", authority: {}, keyUsage: certifying, keys }),
    );
    const leaf = certificate({ subject: "leaf", issuer: ring[0], keyUsage: signing });
    const start = performance.now();
    isRefused([leaf, ...ring], [root]);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  test("of broken certificates is refused in words", () => {
    fc.assert(
      fc.property(fc.nat(signer.der.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const flipped = Uint8Array.from(signer.der);
        flipped[at] ^= by;
        refusesInWords(() => {
          signerOf([flipped, middle.der], [new X509Certificate(root.der)]);
          throw new Error(`byte ${at} flipped by ${by} was not noticed`);
        });
      }),
      { numRuns: 500 },
    );
    expect(() => signerOf([new Uint8Array(5)], [])).toThrow(ClavisError);
  });
});

describe("a model signed by certificate", () => {
  const folder = testFolder();
  const model = join(folder, "model");
  writeFiles(model, { "a.gguf": "weights" });

  test("verifies with its authority, given as a file of several", async () => {
    await sign(model, { key: signer.privateKey });
    const path = join(model, "model.sig");
    const bundle = JSON.parse(readFileSync(path, "utf8"));
    const certificates = [signer, middle].map(({ der }) => ({
      rawBytes: Buffer.from(der).toString("base64"),
    }));
    bundle.verificationMaterial = { x509CertificateChain: { certificates }, tlogEntries: [] };
    writeFileSync(path, JSON.stringify(bundle));
    const other = certificate({ subject: "other", authority: {} });
    writeFileSync(join(folder, "ca.pem"), `some text\n${other.pem}${root.pem}`);
    const authorities = [join(folder, "ca.pem")];
    expect(await verify(model, { authorities })).toMatchObject({
      method: "certificate",
      signer: "CN=signer",
    });
    await refused(verify(model, { authorities: [other.pem] }), "protect.certificate");
    // The signature is of another key than the certificate's.
    const wrong = certificate({ subject: "signer", issuer: middle, keyUsage: signing });
    certificates[0].rawBytes = Buffer.from(wrong.der).toString("base64");
    bundle.verificationMaterial.x509CertificateChain.certificates = certificates;
    writeFileSync(path, JSON.stringify(bundle));
    await refused(verify(model, { authorities }), "protect.signature");
  });

  test("is refused where the file of authorities holds none", async () => {
    await refused(readCertificates(signer.privateKey), "protect.certificate");
    expect(await readCertificates(`${root.pem}\n${middle.pem}`)).toHaveLength(2);
  });
});
