import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseBundle, preAuthenticationEncoding } from "../../src/protect/bundle.ts";
import { certificateDetails } from "../../src/protect/certificate-details.ts";
import { derValues } from "../../src/protect/der.ts";
import { parseJson } from "../../src/protect/json.ts";
import { parseStatement } from "../../src/protect/statement.ts";
import { refusesInWords } from "./files.ts";

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const digest = "ab".repeat(32);

const statement = {
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "model", digest: { sha256: digest } }],
  predicateType: "https://model_signing/signature/v1.0",
  predicate: {
    serialization: {
      method: "files",
      hash_type: "sha256",
      allow_symlinks: false,
      ignore_paths: [".git", "folder/"],
    },
    resources: [{ name: "a/b.gguf", algorithm: "sha256", digest }],
  },
};

const bundle = {
  mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
  verificationMaterial: { publicKey: { hint: digest }, tlogEntries: [] },
  dsseEnvelope: {
    payload: bytes(statement).toString("base64"),
    payloadType: "application/vnd.in-toto+json",
    signatures: [{ sig: "AAAA", keyid: "" }],
  },
};

/** A copy with one field changed: `a.0.b` names it, undefined removes it. */
function changed(value: object, path: string, to: unknown): Buffer {
  const copy = structuredClone(value);
  const names = path.split(".");
  const last = names.pop()!;
  // biome-ignore lint/suspicious/noExplicitAny: any place of a JSON value
  const parent = names.reduce((at: any, name) => at[name], copy);
  parent[last] = to;
  return bytes(copy);
}

const attacks = (value: object) => {
  const whole = bytes(value);
  const flipped = fc
    .tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }))
    .map(([at, by]) => Uint8Array.from(whole, (byte, i) => (i === at ? byte ^ by : byte)));
  const cut = fc.nat(whole.length).map((length) => Uint8Array.from(whole.subarray(0, length)));
  const replaced = fc
    .tuple(fc.constantFrom(...pathsOf(value)), fc.jsonValue())
    .map(([path, to]) => Uint8Array.from(changed(value, path, to)));
  const json = fc.json().map((text) => Uint8Array.from(Buffer.from(text)));
  return fc.oneof(flipped, cut, replaced, json, fc.uint8Array());
};

function pathsOf(value: unknown, prefix = ""): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, one]) => [
    `${prefix}${name}`,
    ...pathsOf(one, `${prefix}${name}.`),
  ]);
}

describe("JSON from a stranger", () => {
  test("deep nesting is refused before it is parsed", () => {
    const deep = Buffer.from("[".repeat(5_000_000));
    expect(() => parseJson(deep, "it")).toThrow(/json_size.*deeper nesting/);
    expect(parseJson(Buffer.from(`${"[".repeat(32)}${"]".repeat(32)}`), "it")).toBeDefined();
  });

  test("many values are refused before they take memory", () => {
    const many = Buffer.from(`[${"{},".repeat(5_000_000)}{}]`);
    const before = process.memoryUsage().heapUsed;
    expect(() => parseJson(many, "it")).toThrow(/json_size.*more values/);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 2 ** 20);
  });

  test("brackets and quotes inside texts are not counted", () => {
    const text = `${"[".repeat(50)}\\"${"{".repeat(50)}`;
    expect(parseJson(Buffer.from(`"${text}"`), "it")).toBe(text.replace("\\", ""));
  });

  test.each([
    ["", "empty"],
    ["{", "no JSON"],
    ['"\xff"', "UTF-8"],
  ])("refuses %j", (text, reason) => {
    expect(() => parseJson(Buffer.from(text, "latin1"), "it")).toThrow(reason);
  });
});

describe("bundles", () => {
  test("reads what the specification describes", () => {
    const read = parseBundle(bytes(bundle));
    expect(read.method).toEqual({ kind: "key", hint: digest });
    expect(Buffer.from(read.payload)).toEqual(bytes(statement));
    for (const keyid of [null, undefined, "some"]) {
      parseBundle(changed(bundle, "dsseEnvelope.signatures.0.keyid", keyid));
    }
  });

  test.each([
    ["mediaType", "application/vnd.dev.sigstore.bundle.v0.2+json"],
    ["extra", 1],
    ["verificationMaterial", []],
    ["verificationMaterial.publicKey", {}],
    ["verificationMaterial.certificate", { rawBytes: "AAAA" }],
    ["verificationMaterial.tlogEntries", [1]],
    ["dsseEnvelope.extra", 1],
    ["dsseEnvelope.payload", ""],
    ["dsseEnvelope.payload", "A A="],
    ["dsseEnvelope.payloadType", "text/plain"],
    ["dsseEnvelope.signatures", []],
    ["dsseEnvelope.signatures", [{ sig: "AAAA" }, { sig: "AAAA" }]],
    ["dsseEnvelope.signatures.0.sig", undefined],
    ["dsseEnvelope.signatures.0.keyid", 5],
    ["dsseEnvelope.signatures.0.cert", "AAAA"],
  ])("refuses %s: %j", (path, to) => {
    expect(() => parseBundle(changed(bundle, path, to))).toThrow(/^protect\./);
  });

  test("no input ends in anything but a bundle or a refusal", () => {
    fc.assert(
      fc.property(attacks(bundle), (input) => refusesInWords(() => parseBundle(input))),
      { numRuns: 2000 },
    );
  });

  test("the bytes under a signature are type and payload, each after its length", () => {
    const encoded = preAuthenticationEncoding(Buffer.from("é{}"));
    expect(Buffer.from(encoded).toString()).toBe("DSSEv1 28 application/vnd.in-toto+json 4 é{}");
  });
});

describe("statements", () => {
  test("reads what the specification describes", () => {
    expect(parseStatement(bytes(statement))).toEqual({
      subject: "model",
      rootDigest: digest,
      serialization: {
        method: "files",
        hashType: "sha256",
        shardBytes: undefined,
        allowSymlinks: false,
        ignorePaths: [".git", "folder"],
      },
      resources: [{ path: "a/b.gguf", digest }],
    });
  });

  test("reads shards", () => {
    const serialization = { method: "shards", hash_type: "blake2b", shard_size: 10, allow_symlinks: true };
    const resources = [
      { name: "a:b:0:10", algorithm: "blake2b", digest: "cd".repeat(64) },
      { name: "a:b:10:13", algorithm: "blake2b", digest: "ef".repeat(64) },
    ];
    const read = parseStatement(changed(statement, "predicate", { serialization, resources }));
    expect(read.resources[1]).toEqual({
      path: "a:b",
      range: { start: 10, end: 13 },
      digest: "ef".repeat(64),
    });
  });

  test.each([
    ["_type", "https://in-toto.io/Statement/v0.1"],
    ["predicateType", "https://example.com/other"],
    ["extra", 1],
    ["subject", []],
    ["subject.0.digest", { sha512: digest }],
    ["predicate.extra", 1],
    ["predicate.resources", []],
    ["predicate.resources.0.name", "../a"],
    ["predicate.resources.0.name", "/a"],
    ["predicate.resources.0.name", "a//b"],
    ["predicate.resources.0.name", "a/./b"],
    ["predicate.resources.0.name", "a\0"],
    ["predicate.resources.0.algorithm", "blake2b"],
    ["predicate.resources.0.algorithm", "md5"],
    ["predicate.resources.0.digest", digest.toUpperCase()],
    ["predicate.resources.0.digest", digest.slice(2)],
    ["predicate.resources.1", statement.predicate.resources[0]],
    ["predicate.resources.1", { ...statement.predicate.resources[0], name: "." }],
    ["predicate.serialization.hash_type", "blake3"],
    ["predicate.serialization.method", "shards"],
    ["predicate.serialization.shard_size", 5],
    ["predicate.serialization.allow_symlinks", "false"],
    ["predicate.serialization.ignore_paths", [""]],
    ["predicate.serialization.ignore_paths", ".git"],
    ["predicate.serialization.extra", 1],
  ])("refuses %s: %j", (path, to) => {
    expect(() => parseStatement(changed(statement, path, to))).toThrow(/^protect\./);
  });

  test("no input ends in anything but a statement or a refusal", () => {
    fc.assert(
      fc.property(attacks(statement), (input) => refusesInWords(() => parseStatement(input))),
      { numRuns: 2000 },
    );
  });
});

describe("DER", () => {
  test("no input ends in anything but values or a RangeError or TypeError that certificates wrap", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
        for (const use of [derValues, certificateDetails]) {
          try {
            use(input);
          } catch (error) {
            expect(error).toSatisfy((e) => e instanceof RangeError || e instanceof TypeError);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});
