import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { clavis, describeBuilt, describeTerminal, Terminal } from "../cli/clavis.ts";
import { root } from "../support/shared.ts";
import { HubServer } from "./hub-server.ts";
import { emptyFolder, environmentOf } from "./store-folder.ts";

const stories = readFileSync(join(root, "models/clavis-stories-q8_0.gguf"));

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.seen.length = 0;
  hub.files.clear();
  hub.add("org/stories-GGUF/stories-Q8_0.gguf", stories);
});

describeBuilt("models by name", () => {
  test("run downloads a model at its first use, and is silent about it at the second", async () => {
    const env = environmentOf(hub, emptyFolder());
    const words = ["run", "org/stories-GGUF:Q8_0", "--temp", "0", "--max-tokens", "8", "Write a story."];
    const first = await clavis(words, { env });
    expect(first.stderr).toContain("stories-Q8_0.gguf: downloaded, sha256 ");
    expect(first.code).toBe(0);
    hub.seen.length = 0;
    const second = await clavis(words, { env });
    expect(second.stdout).toBe(first.stdout);
    expect(second.stderr).not.toContain("downloaded");
    expect(hub.seen).toEqual([]);
  });

  test.each([
    ["bench", ["--prompt", "4", "--generate", "2", "--rounds", "1"]],
    ["eval", ["--text", "-", "--context", "16"]],
  ])("%s downloads a model at its first use", async (command, flags) => {
    const env = environmentOf(hub, emptyFolder());
    const args = [command, "org/stories-GGUF:Q8_0", ...flags, "--json"];
    const input =
      "Once upon a time there was a dog who had a red ball. He liked to play with it in the park.";
    const { code, stdout, stderr } = await clavis(args, { env, input });
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("downloaded");
    expect(JSON.parse(stdout).model).toBe("Clavis Stories");
  });

  test("pull, list and rm", async () => {
    const env = environmentOf(hub, emptyFolder());
    const pulled = await clavis(["pull", "org/stories-GGUF", "--json"], { env });
    expect(JSON.parse(pulled.stdout)).toMatchObject({
      name: "org/stories-GGUF",
      bytes: stories.length,
      downloaded_bytes: stories.length,
      quant: "Q8_0",
    });
    const listed = JSON.parse((await clavis(["list", "--json"], { env })).stdout);
    expect(listed).toMatchObject([
      { name: "stories", from: "package" },
      {
        name: "org/stories-GGUF:Q8_0",
        from: "hub",
        bytes: stories.length,
        architecture: "llama",
        licence: "Apache-2.0",
        used_at: null,
      },
    ]);
    const removed = await clavis(["rm", "org/stories-GGUF:Q8_0", "--json"], { env });
    expect(JSON.parse(removed.stdout)).toEqual({
      removed: ["org/stories-GGUF:Q8_0"],
      freed_bytes: stories.length,
    });
    const again = await clavis(["rm", "org/stories-GGUF:Q8_0"], { env });
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("model.not_local");
  });

  test("info reads the header of a remote model through ranges and keeps nothing", async () => {
    const env = environmentOf(hub, emptyFolder());
    const found = await clavis(["info", "org/stories-GGUF", "--json"], { env });
    expect(JSON.parse(found.stdout)).toMatchObject({
      architecture: "llama",
      fileBytes: stories.length,
      from: "hub",
      repo: "org/stories-GGUF",
      used_at: null,
    });
    const read = hub.seen.filter(({ range }) => range !== undefined);
    expect(read.length).toBeGreaterThan(0);
    expect(read.length).toBeLessThan(stories.length / 2 ** 20);
    expect(JSON.parse((await clavis(["list", "--json"], { env })).stdout)).toHaveLength(1);
  });

  test("a signed model is pulled with its signature, verified by name, and run under a policy", async () => {
    const folder = emptyFolder();
    const env = environmentOf(hub, folder);
    const made = join(folder, "made");
    mkdirSync(made);
    writeFileSync(join(made, "stories-Q8_0.gguf"), stories);
    writeFileSync(join(made, "README.md"), "# Stories");
    await clavis(["keygen", "--out", join(folder, "my")]);
    await clavis(["sign", made, "--key", join(folder, "my.pem")]);
    hub.add("org/stories-GGUF/model.sig", readFileSync(join(made, "model.sig")), { small: true });
    const policy = join(folder, "policy.json");
    writeFileSync(policy, '{"requireSignature": true, "keys": ["my.pub.pem"]}');
    const words = ["run", "org/stories-GGUF", "--policy", policy, "--max-tokens", "3", "Write a story."];
    const { code, stderr } = await clavis(words, { env });
    expect(stderr).toContain("model.sig: downloaded");
    expect(code).toBe(0);
    const key = ["--key", join(folder, "my.pub.pem")];
    const verified = await clavis(["verify", "org/stories-GGUF", ...key], { env });
    expect(verified.stdout).toMatch(
      /^verified +stories-Q8_0\.gguf, 5\.98 MiB\nnot looked at +1 other file that/,
    );
    expect(verified.code).toBe(0);
    const path = (await clavis(["pull", "org/stories-GGUF"], { env })).stdout.trim();
    const linked = await clavis(["verify", path, ...key], { env });
    expect(linked).toMatchObject({ code: 1, stdout: "" });
    expect(linked.stderr).toContain("a downloaded model is verified by its name");
    const absent = await clavis(["verify", "org/no-such", ...key], { env });
    expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining("model.not_local") });
  });

  test("a stopped download ends with exit code 130 and goes on later", async () => {
    const env = environmentOf(hub, emptyFolder());
    hub.next = (stage) => (stage === "bytes" ? { kind: "stall", after: 3_000_000 } : undefined);
    const stopped = await clavis(["pull", "org/stories-GGUF"], {
      env,
      started: (child) => setTimeout(() => child.kill("SIGINT"), 1500),
    });
    expect(stopped.code).toBe(130);
    hub.next = () => undefined;
    const resumed = await clavis(["pull", "org/stories-GGUF"], { env });
    expect(resumed.stderr).toContain("going on after");
    expect(resumed.code).toBe(0);
  });

  test("a killed download leaves a store that the next start repairs", async () => {
    const folder = emptyFolder();
    const env = environmentOf(hub, folder);
    const blobs = join(folder, "hf/hub/models--org--stories-GGUF/blobs");
    hub.next = (stage) => (stage === "bytes" ? { kind: "slow", bytes: 20_000 } : undefined);
    for (const part of [0.1, 0.3, 0.5, 0.7]) {
      const { code, stdout } = await clavis(["pull", "org/stories-GGUF"], {
        env,
        started(child) {
          // Killed in the middle of writing: whenever this much has reached the disk.
          const timer = setInterval(() => {
            if (child.exitCode !== null || child.signalCode !== null) clearInterval(timer);
            const partial =
              existsSync(blobs) && readdirSync(blobs).find((name) => name.endsWith(".incomplete"));
            if (partial && statSync(join(blobs, partial)).blocks * 512 > stories.length * part)
              child.kill("SIGKILL");
          }, 5);
        },
      });
      expect(code).toBeUndefined();
      expect(stdout).toBe("");
      const listed = JSON.parse((await clavis(["list", "--json"], { env })).stdout);
      expect(listed).toHaveLength(1);
    }
    hub.next = () => undefined;
    const mended = await clavis(["pull", "org/stories-GGUF"], { env });
    expect(mended.stderr).toContain("going on after");
    expect(readFileSync(mended.stdout.trim()).equals(stories)).toBe(true);
    expect(readdirSync(blobs)).toHaveLength(1);
  });

  test("two processes share one download", async () => {
    const env = environmentOf(hub, emptyFolder());
    hub.next = (stage) => (stage === "bytes" ? { kind: "slow", bytes: 20_000 } : undefined);
    const pull = () => clavis(["pull", "org/stories-GGUF", "--json"], { env });
    const both = await Promise.all([pull(), pull()]);
    const downloaded = both.map(({ stdout }) => JSON.parse(stdout).downloaded_bytes);
    expect(downloaded.sort((a, b) => a - b)).toEqual([0, stories.length]);
    expect(both.map(({ stderr }) => stderr).join("")).toContain("is being downloaded by another process");
  });

  test("what is not there is an error that says so", async () => {
    const env = environmentOf(hub, emptyFolder());
    const { code, stderr } = await clavis(["run", "org/no-such", "Hello"], { env });
    expect(code).toBe(1);
    expect(stderr).toContain("net.missing");
    const offline = await clavis(["pull", "org/stories-GGUF"], { env: { ...env, HF_HUB_OFFLINE: "1" } });
    expect(offline.stderr).toContain("net.offline");
    hub.seen.length = 0;
    for (const words of [
      ["info", "qwen3:0.6b"],
      ["run", "qwen3:0.6b", "Hello"],
    ]) {
      const asked = await clavis(words, { env: { ...env, HF_HUB_OFFLINE: "1" } });
      expect(asked).toMatchObject({ code: 1, stderr: expect.stringContaining("net.offline") });
    }
    expect(hub.seen).toEqual([]);
    const mistyped = await clavis(["run", "qwn3:0.6b"], { env });
    expect(mistyped.stderr).toMatch(/"qwn3:0\.6b" is neither .*\n.*"qwen3:0\.6b".*\n.*`clavis list`/);
    expect((await clavis(["list"], { env })).stderr).toContain("clavis pull qwen3:0.6b");
  });
});

describeTerminal("models by name", () => {
  test("a download has a bar with speed and the time left, which goes away", async () => {
    const before = { ...process.env };
    Object.assign(process.env, environmentOf(hub, emptyFolder()));
    hub.next = (stage) => (stage === "bytes" ? { kind: "slow", bytes: 30_000 } : undefined);
    const terminal = new Terminal(["pull", "org/stories-GGUF"]);
    try {
      await terminal.shows(/\[=+ *\] +\d+ %, [\d.]+ \S+ of 5\.98 MiB, [\d.]+ \S+\/s, \d+ s left/);
      await terminal.shows("exit code 0");
      expect(terminal.screen).toContain("downloaded");
      // The bar is cleared before the line that follows it.
      expect(terminal.screen.slice(terminal.screen.lastIndexOf(" left"))).toContain("\r\u001b[K");
    } finally {
      terminal.close();
      hub.next = () => undefined;
      process.env = before;
    }
  });
});
