import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { clavis, describeBuilt } from "../cli/clavis.ts";
import { describeShared, root, sharedPath } from "../support/shared.ts";
import { testFolder, writeFiles } from "./files.ts";

const folder = testFolder();
const name = join(folder, "my");
const model = join(folder, "model");

describeBuilt("clavis keygen, sign and verify", () => {
  test("make keys, sign with them and verify, until a file changes", async () => {
    writeFiles(model, { "a.gguf": "weights", "b/c.json": "{}" });
    const made = await clavis(["keygen", "--out", name]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(made.stdout).toContain(`${name}.pub.pem`);
    expect(statSync(`${name}.pem`).mode & 0o777).toBe(0o600);
    const again = await clavis(["keygen", "--out", name]);
    expect(again).toMatchObject({ code: 1, stdout: "" });
    expect(again.stderr).toContain("protect.key_exists");

    const signed = await clavis(["sign", model, "--key", `${name}.pem`]);
    expect(signed).toMatchObject({ code: 0, stdout: `signed 2 files in ${join(model, "model.sig")}\n` });
    const verify = ["verify", model, "--key", `${name}.pub.pem`];
    expect((await clavis(verify)).stdout).toContain("2 files, 9 bytes");
    const { code, stdout } = await clavis([...verify, "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ name: "model", method: "key" });

    writeFileSync(join(model, "a.gguf"), "weightz");
    const refused = await clavis([...verify, "--json"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('protect.file_changed: "a.gguf"');
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: "protect.file_changed" } });
  });

  test("say what is missing on the command line", async () => {
    expect(await clavis(["verify", model])).toMatchObject({ code: 2 });
    expect(await clavis(["sign", model])).toMatchObject({ code: 2 });
    expect(await clavis(["sign", model, "--key", join(folder, "none.pem")])).toMatchObject({ code: 1 });
  });

  test("run keeps to the policy of --policy and of CLAVIS_POLICY", async () => {
    const file = join(folder, "stories.gguf");
    const policy = join(folder, "policy.json");
    copyFileSync(join(root, "models/clavis-stories-q8_0.gguf"), file);
    if (!existsSync(`${name}.pem`)) await clavis(["keygen", "--out", name]);
    writeFileSync(policy, '{"requireSignature": true, "keys": ["my.pub.pem"]}');
    const run = ["run", file, "Hi", "--max-tokens", "3", "--device", "reference"];
    const unsigned = await clavis([...run, "--policy", policy]);
    expect(unsigned).toMatchObject({ code: 1, stdout: "" });
    expect(unsigned.stderr).toContain("protect.unsigned");
    await clavis(["sign", file, "--key", `${name}.pem`]);
    expect((await clavis([...run, "--policy", policy])).code).toBe(0);
    const bytes = readFileSync(file);
    bytes[bytes.length - 100] ^= 1;
    writeFileSync(file, bytes);
    const changed = await clavis(run, { env: { CLAVIS_POLICY: policy } });
    expect(changed).toMatchObject({ code: 1, stdout: "" });
    expect(changed.stderr).toContain('protect.file_changed: "stories.gguf"');
  });
});

describeShared("conformance/model-signing", "the command over models of the reference tool", () => {
  const path = (name: string) => sharedPath(`conformance/model-signing/${name}`);

  describeBuilt("built", () => {
    test.each([
      [["v1.1.0-elliptic-key", "--key", path("keys/certificate/signing-key-pub.pem")], 0],
      [["v1.0.0-certificate", "--ca", path("keys/certificate/ca-cert.pem")], 0],
      [["v1.0.0-elliptic-key/signme-1", "--key", path("keys/certificate/signing-key-pub.pem")], 0],
      [["v1.1.0-elliptic-key", "--ca", path("keys/certificate/ca-cert.pem")], 1],
      [["v1.0.0-certificate", "--ca", path("keys/certificate/signing-key-pub.pem")], 1],
    ])("verify %j exits with %i", async ([model, ...rest], code) => {
      expect((await clavis(["verify", path(model), ...rest])).code).toBe(code);
    });
  });
});
