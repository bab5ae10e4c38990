import { cpSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { parseBundle } from "../../src/protect/bundle.ts";
import { verify } from "../../src/protect/node-verify.ts";
import { parseStatement } from "../../src/protect/statement.ts";
import { describeShared, sharedPath } from "../support/shared.ts";
import { keyPair, refused, testFolder } from "./files.ts";

const base = "conformance/model-signing";
const key = sharedPath(`${base}/keys/certificate/signing-key-pub.pem`);
const root = sharedPath(`${base}/keys/certificate/ca-cert.pem`);
const folder = testFolder();

/** Models that the reference tool signed, and whom to trust for them. */
const signed = [
  { name: "v0.3.1-elliptic-key", model: "signme-1", trust: { keys: [key] } },
  { name: "v1.0.0-elliptic-key", model: "signme-1", trust: { keys: [key] } },
  { name: "v1.1.0-elliptic-key", model: ".", trust: { keys: [key] } },
  { name: "v1.0.0-certificate", model: ".", trust: { authorities: [root] } },
];

describeShared(base, "models signed by the reference tool", () => {
  describe.each(signed)("$name", ({ name, model, trust }) => {
    const copy = join(folder, name);
    const path = join(copy, model);
    beforeEach(() => {
      rmSync(copy, { recursive: true, force: true });
      cpSync(sharedPath(`${base}/${name}`), copy, { recursive: true });
    });
    /** What is signed; `ignore-me` and the signature are not. */
    const files = (folder: string) => readdirSync(folder).filter((file) => file.startsWith("signme"));

    test("verifies", async () => {
      const verified = await verify(path, trust);
      expect(verified.files.map((file) => file.name)).toEqual(files(copy));
      expect(verified.name).toBe(model === "." ? name : model);
    });

    test("a flipped byte in any file is refused, naming it", async () => {
      for (const file of files(copy)) {
        const bytes = readFileSync(join(copy, file));
        for (let i = 0; i < bytes.length; i++) {
          const flipped = Uint8Array.from(bytes);
          flipped[i] ^= 1 << (i % 8);
          rmSync(join(copy, file));
          writeFileSync(join(copy, file), flipped);
          expect(await refused(verify(path, trust), "protect.file_changed")).toContain(`"${file}"`);
        }
        rmSync(join(copy, file));
        writeFileSync(join(copy, file), bytes);
      }
      await verify(path, trust);
    });

    test("an added file is refused where a folder is signed", async () => {
      writeFileSync(join(copy, "added"), "");
      if (model === ".") {
        expect(await refused(verify(path, trust), "protect.file_added")).toContain('"added"');
      } else {
        await verify(path, trust);
        await refused(verify(copy, trust), "protect.single_file");
      }
    });

    test("a removed, renamed or linked file is refused, naming it", async () => {
      if (model !== ".") {
        // A folder that holds the one signed file, under its name, stands for it.
        expect(await verify(copy, trust)).toMatchObject({ name: model });
        renameSync(join(copy, model), join(copy, "signme-3"));
        expect(await refused(verify(copy, trust), "protect.single_file")).toContain(`"${model}"`);
        return;
      }
      renameSync(join(copy, "signme-1"), join(folder, `${name}-moved`));
      expect(await refused(verify(path, trust), "protect.file_missing")).toContain('"signme-1"');
      symlinkSync(join(folder, `${name}-moved`), join(copy, "signme-1"));
      expect(await refused(verify(path, trust), "protect.link")).toContain('"signme-1"');
      rmSync(join(copy, "signme-1"));
      renameSync(join(folder, `${name}-moved`), join(copy, "signme-3"));
      expect(await refused(verify(path, trust), "protect.file_missing")).toContain('"signme-1"');
    });

    test("another key or authority is refused", async () => {
      const keys = [keyPair("P-384").publicKey];
      const leaf = sharedPath(`${base}/keys/certificate/int-ca-cert.pem`);
      if ("authorities" in trust) {
        await refused(verify(path, { keys }), "protect.method");
        // The intermediate authority is trusted when it is named; the chain to it is whole.
        await verify(path, { authorities: [leaf] });
      } else {
        await refused(verify(path, { authorities: [root] }), "protect.method");
        await refused(
          verify(path, { keys }),
          name.startsWith("v1.1") ? "protect.key_mismatch" : "protect.signature",
        );
        await verify(path, { keys: [...keys, key] });
      }
    });
  });
});

describeShared(`${base}/spec`, "the specification's bundles", () => {
  const bundle = (name: string) => sharedPath(`${base}/spec/v1.0/${name}.bundle.json`);
  const model = join(folder, "spec-model");
  beforeEach(() => {
    rmSync(model, { recursive: true, force: true });
    cpSync(sharedPath(`${base}/v1.1.0-elliptic-key`), model, { recursive: true });
    rmSync(join(model, "model.sig"));
  });

  test("valid/key and valid/certificate verify over their model", async () => {
    const byKey = await verify(model, { keys: [key], signature: bundle("valid/key") });
    expect(byKey).toMatchObject({ name: "model", method: "key" });
    const byAuthority = await verify(model, { authorities: [root], signature: bundle("valid/certificate") });
    expect(byAuthority).toMatchObject({ name: "model", method: "certificate", signer: "CN=intermediate-ca" });
  });

  test("valid/sigstore can be read, and is not taken for verified", async () => {
    const { method, payload } = parseBundle(readFileSync(bundle("valid/sigstore")));
    expect(method.kind).toBe("sigstore");
    expect(parseStatement(payload).resources).toHaveLength(2);
    const trust = { keys: [key], authorities: [root], signature: bundle("valid/sigstore") };
    await refused(verify(model, trust), "protect.method");
  });

  test.each([
    ["empty", "protect.json"],
    ["missing-envelope", "protect.bundle"],
    ["missing-tlog-entries", "protect.bundle"],
    ["missing-verification-material", "protect.bundle"],
  ])("invalid/%s is refused", async (name, code) => {
    const trust = { keys: [key], authorities: [root], signature: bundle(`invalid/${name}`) };
    await refused(verify(model, trust), code);
  });

  test("invalid-payload/wrong-predicate is refused by its signature, and by its type before that", async () => {
    const signature = bundle("invalid-payload/wrong-predicate");
    await refused(verify(model, { keys: [key], signature }), "protect.signature");
    const { payload } = parseBundle(readFileSync(signature));
    await refused((async () => parseStatement(payload))(), "protect.predicate");
  });
});
