import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { load, sign, verify } from "../../src/index.ts";
import { generateKeys } from "../../src/protect/node-keygen.ts";
import { list, remove } from "../../src/store/list.ts";
import { pull } from "../../src/store/pull.ts";
import { signaturesOf } from "../../src/store/signatures.ts";
import { root } from "../support/shared.ts";
import { HubServer } from "./hub-server.ts";
import { emptyFolder, environmentOf, modelBytes, optionsFor as smallParts } from "./store-folder.ts";

const stories = readFileSync(join(root, "models/clavis-stories-q8_0.gguf"));
const keys = join(emptyFolder(), "signer");
const key = `${keys}.pem`;
const trust = { keys: [`${keys}.pub.pem`], followLinks: true };
const policy = join(emptyFolder(), "policy.json");

const optionsFor = (...given: Parameters<typeof smallParts>) => ({
  ...smallParts(...given),
  partBytes: 2 ** 23,
});

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
  await generateKeys(keys);
  writeFileSync(policy, JSON.stringify({ requireSignature: true, keys: trust.keys }));
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.files.clear();
  hub.seen.length = 0;
  hub.next = () => undefined;
  hub.commit = "a".repeat(40);
});

/** Puts a signed folder on the hub, as a maker would upload it. */
async function upload(repo: string, files: Record<string, Uint8Array>, path = ""): Promise<void> {
  const folder = emptyFolder();
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), bytes);
    hub.add(`${repo}/${name}`, bytes, { small: bytes.length < 1000 });
  }
  const { signature } = await sign(join(folder, path), { key });
  hub.add(`${repo}/${signature.slice(folder.length + 1)}`, readFileSync(signature), { small: true });
}

const readme = new TextEncoder().encode("# A model\n");
const other = modelBytes(5000, 7);

describe("a model whose repository is signed", () => {
  test("comes with the signature, which verifies the files that came, and only those", async () => {
    await upload("org/signed", { "m-Q8_0.gguf": stories, "m-Q4_0.gguf": other, "README.md": readme });
    const options = optionsFor(hub, emptyFolder());
    const { path, paths, signatures } = await pull("org/signed:Q8_0", options);
    expect(paths).toEqual([path]);
    expect(signatures).toEqual([join(path, "../model.sig")]);
    const verified = await verify(path, trust);
    expect(verified.files).toEqual([{ name: "m-Q8_0.gguf", bytes: stories.length }]);
    expect(verified.signedFiles).toBe(3);
    // A link is followed only where that was asked for.
    await expect(verify(path, { keys: trust.keys })).rejects.toMatchObject({ code: "protect.link" });
    // The folder as a whole is not there, and that is what is said.
    await expect(verify(join(path, ".."), { keys: trust.keys })).rejects.toMatchObject({
      code: "protect.link",
    });
  });

  test("loads under a policy that requires signatures, until a byte differs", async () => {
    await upload("org/signed", { "m-Q8_0.gguf": stories, "README.md": readme });
    const before = { ...process.env };
    Object.assign(process.env, environmentOf(hub, emptyFolder()));
    try {
      const options = { policy, context: 64, device: "reference", pull: true } as const;
      const name = "hf.co/org/signed/m-Q8_0.gguf";
      await using model = await load(name, options);
      expect(model.info.architecture).toBe("llama");
      const { path } = await pull(name);
      const bytes = Uint8Array.from(stories);
      bytes[bytes.length - 1] ^= 1;
      // As a thief of the cache would: the file, and the name that says its digest, stay.
      writeFileSync(realpathSync(path), bytes);
      await expect(load(name, options)).rejects.toMatchObject({ code: "store.digest" });
      await expect(load(path, options)).rejects.toMatchObject({ code: "protect.file_changed" });
    } finally {
      process.env = before;
    }
  });

  test("that is not signed is not even downloaded under such a policy", async () => {
    hub.add("org/plain/m-Q8_0.gguf", stories);
    const before = { ...process.env };
    Object.assign(process.env, environmentOf(hub, emptyFolder()));
    try {
      const url = `${hub.bytesOrigin}/org/plain/resolve/main/m-Q8_0.gguf`;
      for (const name of ["org/plain", url]) {
        const options = { context: 64, device: "reference", pull: true } as const;
        await expect(load(name, { ...options, policy })).rejects.toMatchObject({ code: "pull.unsigned" });
        expect(hub.seen.filter(({ stage }) => stage === "bytes")).toEqual([]);
        await (await load(name, options)).close();
        await expect(load(name, { ...options, policy })).rejects.toMatchObject({ code: "protect.unsigned" });
        hub.seen.length = 0;
      }
    } finally {
      process.env = before;
    }
  });

  test("in folders: a signature of the whole repository, and one of the folder alone", async () => {
    await upload("org/whole", { "q8/m-Q8_0.gguf": stories, "README.md": readme });
    await upload("org/inner", { "q8/m-Q8_0.gguf": stories, "README.md": readme }, "q8");
    await upload("org/file", { "q8/m-Q8_0.gguf": stories, "README.md": readme }, "q8/m-Q8_0.gguf");
    for (const [repo, place, signed] of [
      ["org/whole", "model.sig", 2],
      ["org/inner", "q8/model.sig", 1],
      ["org/file", "q8/m-Q8_0.gguf.sig", 1],
    ] as const) {
      const { path, signatures } = await pull(repo, optionsFor(hub, emptyFolder()));
      expect(signatures).toEqual([join(path, "../..", place)]);
      expect((await verify(path, trust)).signedFiles).toBe(signed);
      await (await load(path, { policy, context: 64, device: "reference" })).close();
    }
  });

  test("split: each part is verified under its name", async () => {
    const parts = ["m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00002-of-00002.gguf"];
    await upload("org/split", { [parts[0]]: other, [parts[1]]: modelBytes(6000, 8) });
    const { paths, signatures } = await pull("org/split", optionsFor(hub, emptyFolder()));
    expect(signatures).toHaveLength(1);
    for (const [i, path] of paths.entries()) expect((await verify(path, trust)).files[0].name).toBe(parts[i]);
    writeFileSync(realpathSync(paths[1]), other);
    await expect(verify(paths[1], trust)).rejects.toMatchObject({ code: "protect.file_changed" });
  });

  test("another file of the same name does not pass for the signed one", async () => {
    await upload("org/whole", { "q8/m.gguf": other, "README.md": readme });
    hub.add("org/whole/m.gguf", modelBytes(7000, 9));
    const { path } = await pull("hf.co/org/whole/m.gguf", optionsFor(hub, emptyFolder()));
    await expect(verify(path, trust)).rejects.toMatchObject({
      code: "protect.file_added",
      found: expect.stringContaining('"m.gguf"'),
    });
  });

  test("that is signed by another is refused", async () => {
    await upload("org/signed", { "m-Q4_0.gguf": other });
    const { path } = await pull("org/signed", optionsFor(hub, emptyFolder()));
    const theirs = join(emptyFolder(), "other");
    await generateKeys(theirs);
    await expect(verify(path, { ...trust, keys: [`${theirs}.pub.pem`] })).rejects.toMatchObject({
      code: "protect.key_mismatch",
    });
  });

  test("an update of the signature alone comes with the next pull", async () => {
    await upload("org/signed", { "m-Q4_0.gguf": other });
    const options = optionsFor(hub, emptyFolder());
    const first = await pull("org/signed", options);
    hub.commit = "c".repeat(40);
    await upload("org/signed", { "m-Q4_0.gguf": other, "README.md": readme });
    const second = await pull("org/signed", options);
    expect(second.downloadedBytes).toBeLessThan(other.length);
    expect((await verify(first.path, trust)).signedFiles).toBe(1);
    expect((await verify(second.path, trust)).signedFiles).toBe(2);
  });

  test("is removed with its signature, which stays while another model needs it", async () => {
    const folder = emptyFolder();
    const options = optionsFor(hub, folder);
    await upload("org/signed", { "m-Q8_0.gguf": modelBytes(9000, 3), "m-Q4_0.gguf": other });
    hub.add("org/signed/m-Q8_0.gguf.sig", readme, { small: true });
    const { signatures } = await pull("org/signed:Q8_0", options);
    await pull("org/signed:Q4_0", options);
    expect(signatures.map((path) => path.split(/[/\\]/).at(-1)).sort()).toEqual([
      "m-Q8_0.gguf.sig",
      "model.sig",
    ]);
    expect((await list(options)).map(({ name }) => name)).toHaveLength(3);
    await remove("org/signed:Q8_0", options);
    expect(signatures.map(existsSync).sort()).toEqual([false, true]);
    await remove("org/signed:Q4_0", options);
    expect(readdirSync(join(folder, "hf/hub")).filter((one) => one.startsWith("models--"))).toEqual([]);
  });

  test("no model is there without the signature where that does not come", async () => {
    await upload("org/signed", { "m-Q4_0.gguf": other });
    const options = optionsFor(hub, emptyFolder());
    hub.next = (stage, request) =>
      stage === "bytes" && request.url!.endsWith(".sig") ? { kind: "status", status: 403 } : undefined;
    await expect(pull("org/signed", options)).rejects.toMatchObject({ code: "net.forbidden" });
    expect((await list(options)).map(({ name }) => name)).toEqual(["stories"]);
  });
});

describe("which files are signatures of a model", () => {
  const files = (...paths: string[]) => paths.map((path) => ({ path, size: 100 }));
  const chosen = (paths: string[], ...all: string[]) =>
    signaturesOf(files(...all), paths).map(({ path }) => path);

  test("those where verifying looks", () => {
    const all = [
      "model.sig",
      "a/model.sig",
      "a/b/model.sig",
      "c/model.sig",
      "a/b/m.gguf.sig",
      "m.gguf.sig",
      "x.sig",
    ];
    expect(chosen(["a/b/m.gguf"], ...all)).toEqual(["a/model.sig", "a/b/model.sig", "a/b/m.gguf.sig"]);
    expect(chosen(["m.gguf"], ...all)).toEqual(["model.sig", "m.gguf.sig"]);
    expect(chosen(["other.gguf"], "x.sig", "other.gguf")).toEqual([]);
  });

  test("none that is too large to be one", () => {
    expect(signaturesOf([{ path: "model.sig", size: 2 ** 30 }], ["m.gguf"])).toEqual([]);
  });
});

test("a mirror without lists still gives a file that is named", async () => {
  hub.add("org/tiny/m.gguf", other);
  const options = optionsFor(hub, emptyFolder());
  hub.next = (stage) => (stage === "list" ? { kind: "status", status: 404 } : undefined);
  expect((await pull("hf.co/org/tiny/m.gguf", options)).downloadedBytes).toBe(5000);
  await expect(pull("org/tiny", options)).rejects.toMatchObject({ code: "net.missing" });
});
