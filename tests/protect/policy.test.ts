import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { load, sign } from "../../src/index.ts";
import { generateKeys } from "../../src/protect/node-keygen.ts";
import { findPolicy } from "../../src/protect/node-policy.ts";
import { root } from "../support/shared.ts";
import { keyPair, refused, testFolder, writeFiles } from "./files.ts";

const folder = testFolder();
const policy = join(folder, "policy.json");
const required = JSON.stringify({ requireSignature: true, keys: ["signer.pub.pem"] });

describe("which policy is in force", () => {
  const none = { XDG_CONFIG_HOME: join(folder, "none") };

  test("the named one, else that of CLAVIS_POLICY, else that of the configuration folder", async () => {
    const found = (keys: string[]) => ({ requireSignature: true, keys, authorities: [] });
    writeFiles(folder, {
      "option/p.json": required,
      "variable/p.json": required,
      "config/clavis/policy.json": required,
    });
    const environment = {
      CLAVIS_POLICY: join(folder, "variable/p.json"),
      XDG_CONFIG_HOME: join(folder, "config"),
    };
    const key = (name: string) => [join(folder, name, "signer.pub.pem")];
    expect(await findPolicy(join(folder, "option/p.json"), environment)).toEqual(found(key("option")));
    expect(await findPolicy(undefined, environment)).toEqual(found(key("variable")));
    const rest = { ...environment, CLAVIS_POLICY: "" };
    expect(await findPolicy(undefined, rest)).toEqual(found(key("config/clavis")));
    expect(await findPolicy(undefined, none)).toBeUndefined();
  });

  test("one that is named and missing, or that cannot be read, is an error", async () => {
    await refused(findPolicy(join(folder, "missing.json"), none), "protect.policy_read");
    await refused(findPolicy(undefined, { CLAVIS_POLICY: join(folder, "x") }), "protect.policy_read");
    mkdirSync(join(folder, "odd/clavis/policy.json"), { recursive: true });
    await refused(findPolicy(undefined, { XDG_CONFIG_HOME: join(folder, "odd") }), "protect.policy_read");
  });

  test.each([
    [""],
    ["{"],
    ["[]"],
    ["{}"],
    ['{"requireSignature":"true"}'],
    ['{"requireSignature":true}'],
    ['{"requireSignature":true,"keys":[]}'],
    ['{"requireSignature":true,"keys":"a.pem"}'],
    ['{"requireSignature":true,"keys":[5]}'],
    ['{"requiresignature":true,"keys":["a.pem"]}'],
    ['{"requireSignature":false,"extra":1}'],
  ])("%j is an error, not an absent policy", async (text) => {
    writeFileSync(policy, text);
    expect(await refused(findPolicy(policy), "protect.policy")).toContain("policy.json");
  });
});

describe("load under a policy", () => {
  const model = join(folder, "model.gguf");
  const options = { policy, device: "reference", context: 64 } as const;
  const configured = process.env.CLAVIS_POLICY;

  beforeEach(async () => {
    for (const name of ["signer.pem", "signer.pub.pem", "model.gguf.sig", "model.sig", "model.gguf"]) {
      rmSync(join(folder, name), { force: true });
    }
    await generateKeys(join(folder, "signer"));
    writeFileSync(policy, required);
    copyFileSync(join(root, "models/clavis-stories-q8_0.gguf"), model);
  });
  afterEach(() => {
    if (configured === undefined) delete process.env.CLAVIS_POLICY;
    else process.env.CLAVIS_POLICY = configured;
  });

  const signIt = (path = model, out?: string) => sign(path, { key: join(folder, "signer.pem"), out });

  test("a signed model answers", async () => {
    await signIt();
    await using loaded = await load(model, options);
    expect(loaded.info.architecture).toBe("llama");
    expect(await loaded.generate("Once", { maxTokens: 2 }).result).toMatchObject({ generatedTokens: 2 });
  });

  test("a model of a signed folder loads, without a look at its other files", async () => {
    const inner = join(folder, "inner");
    writeFiles(inner, { "model.gguf": readFileSync(model), "README.md": "x" });
    await signIt(inner);
    writeFiles(inner, { "README.md": "y" });
    await (await load(join(inner, "model.gguf"), options)).close();
    writeFiles(inner, { "other.gguf": readFileSync(model) });
    expect(await refused(load(join(inner, "other.gguf"), options), "protect.file_added")).toContain(
      "other.gguf",
    );
  });

  test("an unsigned model, and bytes that no file holds, are refused", async () => {
    await refused(load(model, options), "protect.unsigned");
    await refused(load(readFileSync(model), options), "protect.unsigned");
    await refused(load(new Blob([readFileSync(model)]), options), "protect.unsigned");
    await refused(load("stories", options), "protect.unsigned");
  });

  test("a flipped byte anywhere is refused, naming the file", async () => {
    await signIt();
    const bytes = readFileSync(model);
    for (const at of [0, 100, Math.floor(bytes.length / 2), bytes.length - 1]) {
      const flipped = Uint8Array.from(bytes);
      flipped[at] ^= 4;
      writeFileSync(model, flipped);
      expect(await refused(load(model, options), "protect.file_changed")).toContain('"model.gguf"');
    }
  });

  test("another's signature is refused", async () => {
    await sign(model, { key: keyPair().privateKey });
    await refused(load(model, options), "protect.key_mismatch");
  });

  test("CLAVIS_POLICY is enough, and a policy that requires nothing allows everything", async () => {
    process.env.CLAVIS_POLICY = policy;
    await refused(load(model, { ...options, policy: undefined }), "protect.unsigned");
    writeFileSync(policy, '{"requireSignature":false}');
    await (await load(model, { ...options, policy: undefined })).close();
    writeFileSync(policy, "not JSON");
    await refused(load(model, { ...options, policy: undefined }), "protect.policy");
  });

  test("a model reached through a link is what its bytes are", async () => {
    await signIt();
    const link = join(folder, "link.gguf");
    symlinkSync(model, link);
    copyFileSync(`${model}.sig`, `${link}.sig`);
    await (await load(link, options)).close();
    rmSync(link);
  });
});
