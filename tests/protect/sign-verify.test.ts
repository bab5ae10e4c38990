import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { preAuthenticationEncoding } from "../../src/protect/bundle.ts";
import { generateKeys } from "../../src/protect/node-keygen.ts";
import { comparePaths } from "../../src/protect/node-model-files.ts";
import { sign } from "../../src/protect/node-sign.ts";
import { verify } from "../../src/protect/node-verify.ts";
import { describeShared, sharedPath } from "../support/shared.ts";
import { keyPair, refused, testFolder, writeFiles } from "./files.ts";

const folder = testFolder();
const model = join(folder, "model");
const { privateKey: key, publicKey } = keyPair();
const keys = [publicKey];
const contents = { "a.gguf": "weights", "b/c.json": "{}", "b-c": "x", empty: "", ".gitignore": "*.tmp" };

beforeEach(() => {
  rmSync(model, { recursive: true, force: true });
  writeFiles(model, contents);
});

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function readSignature(path: string) {
  const bundle = JSON.parse(readFileSync(path, "utf8"));
  const payload = Buffer.from(bundle.dsseEnvelope.payload, "base64");
  return { bundle, payload, statement: JSON.parse(payload.toString()) };
}

describe("what is signed", () => {
  test.each([
    ["P-256", "sha256"],
    ["P-384", "sha384"],
    ["P-521", "sha512"],
  ])("with a key on %s, verifies with it and hashes with %s", async (curve, hash) => {
    const pair = keyPair(curve);
    await sign(model, { key: pair.privateKey });
    const verified = await verify(model, { keys: [pair.publicKey] });
    expect(verified).toMatchObject({ name: "model", method: "key", signer: sha256(pair.publicKey) });
    expect(verified.files).toEqual([
      { name: "a.gguf", bytes: 7 },
      { name: "b/c.json", bytes: 2 },
      { name: "b-c", bytes: 1 },
      { name: "empty", bytes: 0 },
    ]);
    const { bundle, payload } = readSignature(join(model, "model.sig"));
    const encoded = `DSSEv1 28 application/vnd.in-toto+json ${payload.length} ${payload}`;
    const sig = Buffer.from(bundle.dsseEnvelope.signatures[0].sig, "base64");
    expect(verifyBytes(hash, Buffer.from(encoded), createPublicKey(pair.publicKey), sig)).toBe(true);
  });

  test("names every file with its digest, and the model by the digest of these", async () => {
    await sign(model, { key });
    const { statement, bundle } = readSignature(join(model, "model.sig"));
    const names = ["a.gguf", "b/c.json", "b-c", "empty"] as const;
    const digests = names.map((name) => sha256(contents[name]));
    const root = sha256(Buffer.from(digests.join(""), "hex"));
    expect(statement).toEqual({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ name: "model", digest: { sha256: root } }],
      predicateType: "https://model_signing/signature/v1.0",
      predicate: {
        serialization: {
          method: "files",
          hash_type: "sha256",
          allow_symlinks: false,
          ignore_paths: [".git", ".gitattributes", ".github", ".gitignore", "model.sig"],
        },
        resources: names.map((name, i) => ({ name, algorithm: "sha256", digest: digests[i] })),
      },
    });
    expect(bundle.verificationMaterial.publicKey.hint).toBe(sha256(publicKey));
  });

  test("a single file is signed beside it, whatever its name is later", async () => {
    const file = join(model, "a.gguf");
    const signed = await sign(file, { key });
    expect(signed.signature).toBe(`${file}.sig`);
    expect(await verify(file, { keys })).toMatchObject({ name: "a.gguf", files: [{ bytes: 7 }] });
    expect(readSignature(`${file}.sig`).statement.predicate.resources[0].name).toBe(".");
    renameSync(file, join(model, "z.gguf"));
    await verify(join(model, "z.gguf"), { keys, signature: `${file}.sig` });
    await refused(verify(join(model, "z.gguf"), { keys }), "protect.unsigned");
    await refused(verify(join(model, "b-c"), { keys, signature: `${file}.sig` }), "protect.file_changed");
    await refused(verify(model, { keys, signature: `${file}.sig` }), "protect.single_file");
  });

  test("a signature takes the place of a signature and of nothing else", async () => {
    await sign(model, { key });
    writeFileSync(join(model, "new"), "");
    await sign(model, { key });
    await verify(model, { keys });
    await refused(sign(model, { key, out: join(model, "a.gguf") }), "protect.overwrite");
    expect(readFileSync(join(model, "a.gguf"), "utf8")).toBe("weights");
    await refused(sign(model, { key, out: join(folder, "none/model.sig") }), "protect.write");
  });

  test("links and an empty folder are not signed", async () => {
    mkdirSync(join(folder, "nothing"), { recursive: true });
    await refused(sign(join(folder, "nothing"), { key }), "protect.empty");
    await refused(sign(join(folder, "missing"), { key }), "protect.read");
    symlinkSync("a.gguf", join(model, "link"));
    expect(await refused(sign(model, { key }), "protect.link")).toContain('"link"');
    expect(existsSync(join(model, "model.sig"))).toBe(false);
    expect(await refused(sign(join(model, "link"), { key }), "protect.link")).toContain('"link"');
    await sign(join(model, "a.gguf"), { key });
    const signature = join(model, "a.gguf.sig");
    const linked = verify(join(model, "link"), { keys, signature });
    expect(await refused(linked, "protect.link")).toContain('"link"');
  });

  test("paths are sorted part by part and by code point", () => {
    const sorted = ["a", "a/b", "a/b/c", "a-b", "a.b", "ab", "\uff5e", "\u{1f600}"];
    expect([...sorted].reverse().sort(comparePaths)).toEqual(sorted);
  });
});

describe("what is refused", () => {
  const check = () => verify(model, { keys });
  beforeEach(() => sign(model, { key }));

  test("each flipped bit of a file, naming it", async () => {
    for (let i = 0; i < 7 * 8; i++) {
      const bytes = Buffer.from("weights");
      bytes[i >> 3] ^= 1 << (i & 7);
      writeFileSync(join(model, "a.gguf"), bytes);
      expect(await refused(check(), "protect.file_changed")).toContain('"a.gguf"');
    }
  });

  test("longer and shorter files", async () => {
    for (const content of ["weight", "weights ", ""]) {
      writeFileSync(join(model, "a.gguf"), content);
      expect(await refused(check(), "protect.file_changed")).toContain('"a.gguf"');
    }
  });

  test("added, removed, renamed and moved files", async () => {
    for (const added of ["new", "b/new", "b/model.sig", "deep/er/new"]) {
      writeFiles(model, { [added]: "" });
      expect(await refused(check(), "protect.file_added")).toContain(`"${added}"`);
      rmSync(join(model, added));
    }
    renameSync(join(model, "b/c.json"), join(model, "c.json"));
    expect(await refused(check(), "protect.file_missing")).toContain('"b/c.json"');
    rmSync(join(model, "c.json"));
    expect(await refused(check(), "protect.file_missing")).toContain('"b/c.json"');
  });

  test("of several missing files each is named", async () => {
    const inner = join(folder, "several");
    writeFiles(inner, { a: "1", b: "2", c: "3", "d/e": "4" });
    await sign(inner, { key });
    for (const gone of ["a", "c", "d/e"]) rmSync(join(inner, gone));
    const verified = verify(inner, { keys: [publicKey] });
    expect(await refused(verified, "protect.file_missing")).toContain(
      '3 of 4 signed files missing: "a", "c", "d/e"',
    );
    // One that is there can be verified alone, and is not passed off as the whole.
    const one = await verify(join(inner, "b"), { keys: [publicKey] });
    expect(one).toMatchObject({ files: [{ name: "b", bytes: 1 }], signedFiles: 4 });
    writeFiles(inner, { b: "5" });
    await refused(verify(join(inner, "b"), { keys: [publicKey] }), "protect.file_changed");
    writeFiles(inner, { new: "2" });
    await refused(verify(join(inner, "new"), { keys: [publicKey] }), "protect.file_added");
  });

  test("links in place of files and folders, and pipes", async () => {
    renameSync(join(model, "a.gguf"), join(folder, "elsewhere"));
    symlinkSync(join(folder, "elsewhere"), join(model, "a.gguf"));
    expect(await refused(check(), "protect.link")).toContain('"a.gguf"');
    rmSync(join(model, "a.gguf"));
    renameSync(join(folder, "elsewhere"), join(model, "a.gguf"));
    await check();
    renameSync(join(model, "b"), join(folder, "b"));
    symlinkSync(join(folder, "b"), join(model, "b"));
    expect(await refused(check(), "protect.link")).toContain('"b"');
    rmSync(join(folder, "b"), { recursive: true });
  });

  test("exchanged contents", async () => {
    renameSync(join(model, "empty"), join(model, "t"));
    renameSync(join(model, "b-c"), join(model, "empty"));
    renameSync(join(model, "t"), join(model, "b-c"));
    await refused(check(), "protect.file_changed");
  });

  test("what git keeps is left out, as the signature says, and nothing else", async () => {
    writeFiles(model, { ".git/config": "x", ".gitattributes": "y" });
    await check();
    writeFiles(model, { ".gitconfig": "" });
    expect(await refused(check(), "protect.file_added")).toContain('".gitconfig"');
  });

  test("a changed payload, signature or hint", async () => {
    const path = join(model, "model.sig");
    const { bundle, payload } = readSignature(path);
    const write = (change: (copy: typeof bundle) => void) => {
      const copy = structuredClone(bundle);
      change(copy);
      writeFileSync(path, JSON.stringify(copy));
    };
    for (let at = 0; at < payload.length; at += 17) {
      const flipped = Buffer.from(payload);
      flipped[at] ^= 1;
      write((copy) => {
        copy.dsseEnvelope.payload = flipped.toString("base64");
      });
      await refused(check(), "protect.signature");
    }
    const sig = Buffer.from(bundle.dsseEnvelope.signatures[0].sig, "base64");
    for (let at = 0; at < sig.length; at++) {
      const flipped = Buffer.from(sig);
      flipped[at] ^= 1;
      write((copy) => {
        copy.dsseEnvelope.signatures[0].sig = flipped.toString("base64");
      });
      await refused(check(), "protect.signature");
    }
    write((copy) => {
      copy.verificationMaterial.publicKey.hint = "00";
    });
    await refused(check(), "protect.key_mismatch");
  });

  test("another's key, and no key at all", async () => {
    await refused(verify(model, { keys: [keyPair().publicKey] }), "protect.key_mismatch");
    await refused(verify(model, {}), "protect.method");
    await verify(model, { keys: [keyPair("P-384").publicKey, publicKey] });
  });

  test("signatures that are too large, missing, or a folder", async () => {
    const signature = join(folder, "large.sig");
    writeFileSync(signature, "");
    truncateSync(signature, 2 ** 40);
    await refused(verify(model, { keys, signature }), "protect.bundle_size");
    await refused(verify(model, { keys, signature: join(folder, "none.sig") }), "protect.read");
    await refused(verify(model, { keys, signature: folder }), "protect.read");
    rmSync(join(model, "model.sig"));
    await refused(check(), "protect.unsigned");
  });
});

describe("statements that are signed and wrong", () => {
  /** Signs a statement that the tool would not write. */
  function signStatement(change: (statement: ReturnType<typeof readSignature>["statement"]) => void): void {
    const path = join(model, "model.sig");
    const { bundle, statement } = readSignature(path);
    change(statement);
    const payload = Buffer.from(JSON.stringify(statement));
    bundle.dsseEnvelope.payload = payload.toString("base64");
    const sig = signBytes("sha256", preAuthenticationEncoding(payload), key);
    bundle.dsseEnvelope.signatures[0].sig = sig.toString("base64");
    writeFileSync(path, JSON.stringify(bundle));
  }
  const rootOf = (digests: readonly string[]) => sha256(Buffer.from(digests.join(""), "hex"));
  beforeEach(() => sign(model, { key }));

  test("a root digest that does not follow from the files is refused", async () => {
    signStatement((statement) => {
      statement.subject[0].digest.sha256 = sha256("");
    });
    await refused(verify(model, { keys }), "protect.root_digest");
  });

  test("links are followed only where the signature allows them, and their bytes are checked", async () => {
    rmSync(join(model, "empty"));
    writeFileSync(join(folder, "target"), "");
    symlinkSync(join(folder, "target"), join(model, "empty"));
    await refused(verify(model, { keys }), "protect.link");
    signStatement((statement) => {
      statement.predicate.serialization.allow_symlinks = true;
    });
    await verify(model, { keys });
    writeFileSync(join(folder, "target"), "other");
    expect(await refused(verify(model, { keys }), "protect.file_changed")).toContain('"empty"');
  });

  test("shards and blake2b are verified, each in its place", async () => {
    rmSync(model, { recursive: true });
    writeFiles(model, { a: "0123456789" });
    await sign(model, { key });
    const blake2b = (text: string) => createHash("blake2b512").update(text).digest("hex");
    const write = (parts: readonly (readonly [string, string])[], shard_size = 4) => {
      signStatement((statement) => {
        statement.predicate.serialization = {
          method: "shards",
          hash_type: "blake2b",
          shard_size,
          allow_symlinks: false,
          ignore_paths: ["model.sig"],
        };
        statement.predicate.resources = parts.map(([range, text]) => ({
          name: `a:${range}`,
          algorithm: "blake2b",
          digest: blake2b(text),
        }));
        statement.subject[0].digest.sha256 = rootOf(parts.map(([, text]) => blake2b(text)));
      });
      return verify(model, { keys });
    };
    await write([
      ["0:4", "0123"],
      ["4:8", "4567"],
      ["8:10", "89"],
    ]);
    await write([["0:10", "0123456789"]], 100);
    await refused(
      write([
        ["0:4", "0123"],
        ["4:8", "4567"],
        ["8:10", "8x"],
      ]),
      "protect.file_changed",
    );
    await refused(
      write([
        ["0:4", "0123"],
        ["4:8", "4567"],
      ]),
      "protect.file_changed",
    );
    await refused(
      write([
        ["0:4", "0123"],
        ["4:8", "4567"],
        ["8:12", "89"],
      ]),
      "protect.file_changed",
    );
    await refused(
      write([
        ["0:4", "0123"],
        ["4:8", "4567"],
        ["8:10", "89"],
        ["10:10", ""],
      ]),
      "protect.file_changed",
    );
  });

  test("paths to be ignored that name no file of the model leave nothing out", async () => {
    writeFiles(model, { new: "" });
    signStatement((statement) => {
      const paths = [".", "./", "/", "./new", "x/../new", join(model, "new"), "../model/new", "ne"];
      statement.predicate.serialization.ignore_paths = [...paths, "model.sig", ".gitignore"];
    });
    expect(await refused(verify(model, { keys }), "protect.file_added")).toContain('"new"');
  });

  test("a file that is both signed and to be ignored is checked", async () => {
    signStatement((statement) => {
      statement.predicate.serialization.ignore_paths = ["b", "model.sig", ".gitignore"];
    });
    writeFileSync(join(model, "b/c.json"), "[]");
    expect(await refused(verify(model, { keys }), "protect.file_changed")).toContain('"b/c.json"');
  });
});

describe("keys", () => {
  test("keygen writes a pair that signs and verifies, the private key for its owner alone", async () => {
    const name = join(folder, "made");
    const made = await generateKeys(name);
    expect(statSync(made.privateKey).mode & 0o777).toBe(0o600);
    expect(made.hint).toBe(sha256(readFileSync(made.publicKey)));
    await sign(model, { key: made.privateKey });
    expect(await verify(model, { keys: [made.publicKey] })).toMatchObject({ signer: made.hint });
    const before = readFileSync(made.privateKey);
    await refused(generateKeys(name), "protect.key_exists");
    rmSync(made.publicKey);
    await refused(generateKeys(name), "protect.key_exists");
    expect(readFileSync(made.privateKey)).toEqual(before);
    rmSync(made.privateKey);
    writeFileSync(made.publicKey, "");
    await refused(generateKeys(name), "protect.key_exists");
    expect(existsSync(made.privateKey)).toBe(false);
  });

  test("keys in another form, on other curves or of other kinds are refused", async () => {
    await sign(model, { key });
    const pem = { type: "pkcs8", format: "pem" } as const;
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const encrypted = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({
      ...pem,
      cipher: "aes-256-cbc",
      passphrase: "secret",
    });
    const block = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    for (const wrong of [key, rsa.publicKey.export({ type: "spki", format: "pem" }), block]) {
      await refused(verify(model, { keys: [wrong as string] }), "protect.key");
    }
    const other = keyPair("secp256k1").privateKey;
    for (const wrong of [publicKey, rsa.privateKey.export(pem), encrypted, other]) {
      await refused(sign(model, { key: wrong as string }), "protect.key");
    }
    await refused(verify(model, { keys: [join(folder, "none.pem")] }), "protect.key_read");
    await refused(verify(model, { keys: [folder] }), "protect.key_read");
  });

  test("text before the PEM block does no harm", async () => {
    await sign(model, { key: `Bag Attributes\n${key}` });
    await verify(model, { keys: [`Public Key Information:\n\n${publicKey}`] });
  });
});

describeShared("conformance/model-signing", "the shape of what we sign", () => {
  /** The names of all fields, with the kinds of their values; lists by their first. */
  function shape(value: unknown): unknown {
    if (Array.isArray(value)) return value.slice(0, 1).map(shape);
    if (typeof value !== "object" || value === null) return typeof value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shape(one)]));
  }

  test("is that of the reference tool's 1.1", async () => {
    await sign(model, { key });
    const ours = readSignature(join(model, "model.sig"));
    const theirs = readSignature(sharedPath("conformance/model-signing/v1.1.0-elliptic-key/model.sig"));
    expect(shape(ours.bundle)).toEqual(shape(theirs.bundle));
    expect(shape(ours.statement)).toEqual(shape(theirs.statement));
    expect(Object.keys(ours.bundle)).toEqual(Object.keys(theirs.bundle));
  });

  test("keeps the digests: what the tool signed and we sign again names the same model", async () => {
    const original = sharedPath("conformance/model-signing/v1.1.0-elliptic-key");
    rmSync(model, { recursive: true });
    for (const name of ["signme-1", "signme-2"])
      writeFiles(model, { [name]: readFileSync(join(original, name)) });
    await sign(model, { key });
    const theirs = readSignature(join(original, "model.sig")).statement.subject[0].digest;
    expect(readSignature(join(model, "model.sig")).statement.subject[0].digest).toEqual(theirs);
  });
});
