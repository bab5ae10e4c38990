import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { storiesPath } from "../support/golden.ts";
import { root } from "../support/shared.ts";
import { clavis, describeBuilt, main } from "./clavis.ts";

const golden = (name: string) => JSON.parse(readFileSync(join(root, "tests/golden", name), "utf8"));
const question = "Write a story about a dog and a ball.";

describeBuilt("clavis", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "clavis-cli-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  describe("run", () => {
    test("answers on stdout and gives figures on the last line of stderr", async () => {
      const { code, stdout, stderr } = await clavis([
        "run",
        "stories",
        question,
        "--temp",
        "0",
        "--max-tokens",
        "12",
      ]);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^[A-Z][\w ,.'"]+\n$/);
      const last = stderr.trimEnd().split("\n").at(-1);
      expect(last).toMatch(
        /^prompt \d+ tokens at [\d.]+\/s · answer 12 tokens at [\d.]+\/s · \w+ \(.+\) · \d+ threads?$/,
      );
    });

    test("takes words with white space as a prompt for the default model", async () => {
      const named = await clavis(["run", "stories", question, "--temp", "0", "--max-tokens", "6"]);
      const bare = await clavis(["run", question, "--temp", "0", "--max-tokens", "6"]);
      expect(bare.stdout).toBe(named.stdout);
    });

    test("answers stdin, and joins it to a prompt by an empty line", async () => {
      const flags = ["--temp", "0", "--max-tokens", "6", "--json"];
      const joined = await clavis(["run", "stories", "A story:\n\na dog", ...flags]);
      const both = await clavis(["run", "stories", "A story:", ...flags], { input: "a dog\n" });
      const dash = await clavis(["run", "-", ...flags], { input: "A story:\n\na dog" });
      const alone = await clavis(["run", ...flags], { input: "A story:\n\na dog\n" });
      const { prompt_tokens, text } = JSON.parse(joined.stdout);
      for (const other of [both, dash, alone])
        expect(JSON.parse(other.stdout)).toMatchObject({ prompt_tokens, text });
    });

    test("does not wait for ever for a stdin that stays open", async () => {
      const child = spawn(process.execPath, [main, "run", "stories", question, "--max-tokens", "1"], {
        stdio: ["pipe", "pipe", "pipe"],
      });
      const code = await new Promise((resolve) => child.on("close", resolve));
      expect(code).toBe(0);
    });

    test("--json is one object", async () => {
      const { code, stdout } = await clavis([
        "run",
        "stories",
        question,
        "--max-tokens",
        "5",
        "--seed",
        "7",
        "--json",
      ]);
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        finish_reason: "length",
        generated_tokens: 5,
        seed: 7,
        cached_tokens: 0,
        text: expect.any(String),
        device: expect.any(String),
      });
      expect(JSON.parse(stdout).tokens).toHaveLength(5);
    });

    test("the same seed gives the same answer", async () => {
      const once = () => clavis(["run", "stories", question, "--max-tokens", "12", "--seed", "3"]);
      expect((await once()).stdout).toBe((await once()).stdout);
    });

    test("--stop ends the answer before the text", async () => {
      const flags = ["run", "stories", question, "--temp", "0", "--max-tokens", "30"];
      const { text } = JSON.parse((await clavis([...flags, "--json"])).stdout);
      const stop = text.slice(20, 25);
      const stopped = JSON.parse(
        (await clavis([...flags, "--json", "--stop", "never", "--stop", stop])).stdout,
      );
      expect(stopped).toMatchObject({ finish_reason: "stop", stop, text: text.slice(0, text.indexOf(stop)) });
    });

    test("a full context ends the answer and is no error", async () => {
      const { code, stderr } = await clavis([
        "run",
        "stories",
        "--raw",
        "One day",
        "--temp",
        "0",
        "--context",
        "16",
      ]);
      expect(code).toBe(0);
      expect(stderr).toContain("The context of 16 tokens is full");
    });

    test("a prompt longer than the context is refused", async () => {
      const { code, stdout, stderr } = await clavis(["run", "stories"], { input: "a dog ".repeat(1000) });
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("context.overflow");
      expect(stderr).toContain("512");
    });

    test("nothing but text where stderr and stdout are no terminals", async () => {
      const { stdout, stderr } = await clavis(["run", "stories", question, "--max-tokens", "3", "--verbose"]);
      expect(stdout + stderr).not.toContain("\u001b");
    });

    test("Ctrl-C ends an answer with exit code 130", async () => {
      const { code, stderr } = await clavis(
        ["run", "stories", question, "--overflow", "shift", "--temp", "2"],
        {
          started: (child) => child.stdout!.once("data", () => child.kill("SIGINT")),
        },
      );
      expect({ code, stderr }).toEqual({ code: 130, stderr: "clavis: interrupted\n" });
    });

    test("Ctrl-C while stdin is awaited ends with exit code 130", async () => {
      const child = spawn(process.execPath, [main, "run", "stories"], { stdio: "pipe" });
      // The handler stands once the engine is loading, well before the two seconds are over.
      setTimeout(() => child.kill("SIGINT"), 2000);
      expect(await new Promise((resolve) => child.on("close", resolve))).toBe(130);
    });

    test("a reader that goes early ends it quietly", async () => {
      const { code, stderr } = await clavis(
        ["run", "stories", question, "--overflow", "shift", "--temp", "2"],
        {
          started: (child) => child.stdout!.once("data", () => child.stdout!.destroy()),
        },
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    });

    test.skipIf(!existsSync("/dev/full"))("a full disk is an error", async () => {
      const { code, stderr } = await clavis(["run", "stories", question, "--max-tokens", "2"], {
        stdoutTo: "/dev/full",
      });
      expect(code).toBe(1);
      expect(stderr).toContain("output.write");
      expect(stderr).toContain("ENOSPC");
    });

    test("writes an answer to a file as it writes it to a pipe", async () => {
      const args = ["run", "stories", question, "--temp", "0", "--max-tokens", "8"];
      const path = join(folder, "answer.txt");
      await clavis(args, { stdoutTo: path });
      expect(readFileSync(path, "utf8")).toBe((await clavis(args)).stdout);
    });
  });

  describe("wrong usage ends with exit code 2 and names what is wrong", () => {
    const wrong: readonly (readonly [args: string[], said: string[], input?: string | Uint8Array])[] = [
      [[], ["usage.command", "no command", "Usage: clavis"]],
      [["rnu"], ["unknown command 'rnu'", "run"]],
      [
        ["run", "--tmp", "1"],
        ["unknown option '--tmp'", "--temp"],
      ],
      [
        ["run", "stories", "a", "--temp"],
        ["--temp", "argument missing"],
      ],
      [
        ["run", "stories", "a", "--temp", "hot"],
        ['--temp is "hot"', "a number from 0 to 1000"],
      ],
      [
        ["run", "stories", "a", "--temp", "-1"],
        ["--temp", "a number from 0 to 1000"],
      ],
      [
        ["run", "stories", "a", "--top-p", "0"],
        ["--top-p", "above 0 and at most 1"],
      ],
      [
        ["run", "stories", "a", "--top-k", "1.5"],
        ["--top-k", "a whole number"],
      ],
      [
        ["run", "stories", "a", "--max-tokens", "0"],
        ["--max-tokens", "at least 1"],
      ],
      [["run", "stories", "a", "--seed", "9007199254740993"], ["--seed"]],
      [
        ["run", "stories", "a", "--context", "0x10"],
        ["--context", "a whole number"],
      ],
      [
        ["run", "stories", "a", "--context", "99999"],
        ["load.context", "512"],
      ],
      [
        ["run", "stories", "a", "--threads", "1000"],
        ["--threads", "from 1 to 256"],
      ],
      [
        ["run", "stories", "a", "--device", "gpu"],
        ["--device", "auto, native, wasm, reference"],
      ],
      [
        ["run", "stories", "a", "--mode", "quick"],
        ["--mode", "fast, reproducible"],
      ],
      [["run", "stories", "a", "--stop", ""], ["--stop"]],
      [["run", "stories", "a", "--raw", "--system", "b"], ["--system together with --raw"]],
      [["run", "stories", " "], ["usage.prompt"]],
      [["run", "stories"], ["usage.prompt"], ""],
      [["run", "stories"], ["usage.utf8"], Uint8Array.of(0xc3, 0x28)],
      [["info", "a", "b"], ["too many arguments"]],
      [["tokenize", "--json"], ["usage.json", "an object", '["text", …]'], "{}"],
      [["tokenize", "--json"], ["usage.json", "nothing"], ""],
      [["tokenize", "--json"], ["usage.json", "not JSON"], '["a",'],
      [["tokenize", "--json"], ["usage.json", "7 as item 2"], '["a", 7]'],
      [["logits", "--json"], ["usage.json", "7 as item 1"], "[7]"],
      [["logits", "--json"], ["usage.json", "-1"], "[[-1]]"],
      [["logits", "--json"], ["usage.json", "an empty list"], "[[]]"],
      [["logits", "--json"], ["usage.json", "id 4096", "ids below 4,096"], "[[4096]]"],
      [
        ["bench", "--prompt", "500", "--generate", "13"],
        ["usage.bench", "512"],
      ],
      [["eval"], ["usage.text", "--text"]],
      [["eval", "--text", "-"], ["usage.utf8", "stdin"], Uint8Array.of(0xc3, 0x28)],
      [["eval", "--text", "-", "--context", "3"], ["--context", "at least 4"], "a"],
    ];

    const cases = wrong.map(([args, said, input = null], i) => ({
      title: `${args.join(" ")} (${i + 1})`,
      args,
      said,
      input,
    }));
    test.each(cases)("clavis $title", async ({ args, said, input }) => {
      const { code, stdout, stderr } = await clavis(args, { input });
      expect(code, stderr).toBe(2);
      for (const text of said) expect(stderr).toContain(text);
      if (args.includes("--json")) expect(JSON.parse(stdout).error.code).toMatch(/^usage\./);
      else expect(stdout).toBe("");
    });
  });

  describe("what fails ends with exit code 1", () => {
    test.each(["run", "info", "explain", "tokenize", "logits", "bench"])(
      "clavis %s of a file that is not there names it",
      async (command) => {
        const { code, stdout, stderr } = await clavis([command, "no/such model.gguf"], { input: "[[1]]" });
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
        expect(stderr).toMatch(
          /^clavis: model\.not_found: .*"no\/such model\.gguf"\n {2}expected: .+\n {2}next: .+\n$/,
        );
      },
    );

    test("a single word that is no model says how to use it as a prompt", async () => {
      const { code, stderr } = await clavis(["run", "hello"]);
      expect(code).toBe(1);
      expect(stderr).toContain('clavis run stories "hello"');
    });

    test("a model without a chat template needs --raw", async () => {
      const path = join(folder, "no-template.gguf");
      const bytes = readFileSync(storiesPath);
      // Another key of the same length: the file stays whole, and nobody finds the template.
      bytes.write("tokenizer.talk_template", bytes.indexOf("tokenizer.chat_template"));
      writeFileSync(path, bytes);
      const { code, stdout, stderr } = await clavis(["run", path, question]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/chat\.no_template.*\n.*\n.*--raw/);
      const raw = await clavis(["run", path, "--raw", question, "--max-tokens", "2"]);
      expect(raw.code).toBe(0);
    });

    test("a file that is no model", async () => {
      const path = join(folder, "no.gguf");
      writeFileSync(path, "<!doctype html><title>Not found</title>");
      const { code, stdout, stderr } = await clavis(["info", path, "--json"]);
      expect(code).toBe(1);
      expect(stderr).toContain("clavis: gguf.magic: ");
      expect(JSON.parse(stdout).error).toMatchObject({ code: "gguf.magic", next: expect.any(String) });
    });
  });

  describe("tokenize", () => {
    test("--json gives llama.cpp's ids", async () => {
      const { cases } = golden("tokens.json") as { cases: { text: string; ids: number[] }[] };
      const { code, stdout } = await clavis(["tokenize", "stories", "--json"], {
        input: JSON.stringify(cases.map(({ text }) => text)),
      });
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toEqual(cases.map(({ ids }) => ids));
    });

    test("shows pieces, and bytes of parts of characters", async () => {
      const { stdout, stderr } = await clavis(["tokenize", "stories"], { input: "a П" });
      expect(stdout).toBe('    101  "a"\n     36  " "\n    212  <d0>\n    163  <9f>\n');
      expect(stderr).toBe("4 tokens\n");
    });

    test("control tokens are text, but with --special", async () => {
      const of = async (...flags: string[]) =>
        JSON.parse((await clavis(["tokenize", "stories", "<|end|>", "--json", ...flags])).stdout)[0];
      // The model's card: 0 <|endoftext|>, 1 <|user|>, 2 <|assistant|>, 3 <|end|>.
      expect(await of("--special")).toContain(3);
      expect(await of()).not.toContain(3);
    });
  });

  describe("logits", () => {
    interface Case {
      prompt: number[];
      top: [number, number][];
      greedy: number[];
    }

    test("--json is within the tolerance of llama.cpp's, and greedy ids are equal", async () => {
      const models = golden("logits.json") as { file: string; cases: Case[] }[];
      const { cases } = models.find(({ file }) => file === "clavis-stories-q8_0.gguf")!;
      const { code, stdout } = await clavis(["logits", "stories", "--json"], {
        input: JSON.stringify(cases.map(({ prompt }) => prompt)),
      });
      expect(code).toBe(0);
      const answers = JSON.parse(stdout) as Case[];
      expect(answers).toHaveLength(cases.length);
      for (const [i, { top, greedy }] of answers.entries()) {
        expect(top).toHaveLength(20);
        expect(greedy).toHaveLength(16);
        expect(top.map(([, logit]) => logit)).toEqual(
          top.map(([, logit]) => logit).toSorted((a, b) => b - a),
        );
        expect(greedy[0]).toBe(top[0][0]);
        const theirs = new Map(cases[i].top);
        const shared = top.filter(([id]) => theirs.has(id));
        expect(shared.length).toBeGreaterThanOrEqual(15);
        // The tolerance that comes with the golden logits, for weights in blocks of 32.
        for (const [id, logit] of shared) expect(Math.abs(logit - theirs.get(id)!)).toBeLessThanOrEqual(0.3);
        expect(greedy).toEqual(cases[i].greedy);
      }
    });

    test("reproducible mode gives the same bits on every device and with any number of threads", async () => {
      const of = async (...flags: string[]) => {
        const args = ["logits", "--json", "--mode", "reproducible", ...flags];
        return (await clavis(args, { input: "[[459,491,262,406,48,384,283],[462]]" })).stdout;
      };
      const reference = await of("--device", "reference");
      expect(JSON.parse(reference)).toHaveLength(2);
      expect(await of("--device", "wasm", "--threads", "1")).toBe(reference);
      expect(await of("--device", "wasm", "--threads", "2")).toBe(reference);
    });

    test("a prompt that fills the context has one greedy id, a longer one is refused", async () => {
      const ids = (length: number) => JSON.stringify([Array.from({ length }, (_, i) => 300 + i)]);
      const full = await clavis(["logits", "--json", "--context", "32"], { input: ids(32) });
      const [{ top, greedy }] = JSON.parse(full.stdout);
      expect(greedy).toEqual([top[0][0]]);
      const longer = await clavis(["logits", "--context", "32"], { input: ids(33) });
      expect(longer.code).toBe(1);
      expect(longer.stderr).toContain("context.overflow");
    });
  });

  describe("the others", () => {
    test("info says what the card of the model says", async () => {
      const { stdout } = await clavis(["info", "stories", "--json"]);
      expect(JSON.parse(stdout)).toMatchObject({
        architecture: "llama",
        parameters: 5_770_496,
        fileBytes: 6_273_920,
        layers: 6,
        width: 256,
        heads: 4,
        kvHeads: 2,
        vocabulary: 4096,
        trainedContext: 512,
        hasTemplate: true,
      });
      expect((await clavis(["info"])).stdout).toMatch(/^parameters +5\.77 million$/m);
    });

    test("explain prints a line per call", async () => {
      const { stdout } = await clavis(["explain", "stories", "--json"]);
      const { plan, reads_bytes } = JSON.parse(stdout);
      expect(plan[0]).toMatch(/^ +0 /);
      // Every weight once but the embedding, of which a token reads a row, and which is the head as well.
      expect(reads_bytes).toBeGreaterThan(6_000_000);
      expect((await clavis(["explain"])).stdout).toBe(`${plan.join("\n")}\n`);
    });

    test("devices names at least the reference, and chooses one that is available", async () => {
      const { devices, chosen } = JSON.parse((await clavis(["devices", "--json"])).stdout);
      expect(devices.map(({ name }: { name: string }) => name)).toContain("reference");
      expect(devices.find(({ name }: { name: string }) => name === chosen).available).toBe(true);
      expect((await clavis(["devices"])).stdout).toContain(`* ${chosen} is chosen`);
    });

    test("devices says what the processor has and what was measured", async () => {
      const { devices, ...machine } = JSON.parse((await clavis(["devices", "--json"])).stdout);
      expect(machine).toMatchObject({
        processor: expect.any(String),
        processors: expect.any(Number),
        memory_bytes: expect.any(Number),
        free_memory_bytes: expect.any(Number),
        node: process.version,
      });
      expect(machine.usable_cores).toBeGreaterThanOrEqual(1);
      expect(machine.usable_processors).toBeGreaterThanOrEqual(machine.usable_cores);
      expect(machine.processors).toBeGreaterThanOrEqual(machine.usable_processors);
      expect(machine.quota === null || machine.quota > 0).toBe(true);
      const text = (await clavis(["devices"])).stdout;
      for (const { name, available, read_gb_s, integer_gops } of devices) {
        if (name === "native" && available) {
          expect(machine.features).toEqual([...new Set(machine.features)]);
          expect(read_gb_s).toBeGreaterThan(0);
          expect(integer_gops).toBeGreaterThan(0);
          expect(text).toMatch(/native +[\d.]+ GB\/s +[\d.]+ GOPS/);
        } else {
          expect([read_gb_s, integer_gops]).toEqual([null, null]);
        }
      }
      expect(text).toMatch(/^processors +\d+, of which \d+ may be used, on \d+ cores?/m);
    });

    test("bench measures what was asked", async () => {
      const args = ["bench", "--prompt", "8", "--generate", "4", "--rounds", "3", "--threads", "1"];
      const figures = JSON.parse((await clavis([...args, "--json"])).stdout);
      expect(figures).toMatchObject({ prompt: 8, generate: 4, rounds: 3, threads: 1, context: 12 });
      for (const name of ["prompt_tok_s", "generate_tok_s", "first_token_ms", "read_gb_s"]) {
        expect(figures[`${name}_min`]).toBeGreaterThan(0);
        expect(figures[name]).toBeGreaterThanOrEqual(figures[`${name}_min`]);
        expect(figures[`${name}_max`]).toBeGreaterThanOrEqual(figures[name]);
      }
      expect(figures.read_gb_s).toBeCloseTo((figures.generate_tok_s * figures.reads_bytes) / 1e9, 9);
      expect(figures.load_ms).toBeGreaterThan(0);
      // No process of Node takes less.
      expect(figures.peak_rss_mb).toBeGreaterThan(30);
      expect((await clavis(args)).stdout).toMatch(/^prompt of 8 +[\d.]+ +tokens\/s/m);
    });

    test.each(["run", "info", "explain", "tokenize", "logits", "devices", "bench", "eval"])(
      "clavis %s --help has examples",
      async (command) => {
        const { code, stdout } = await clavis([command, "--help"]);
        expect(code).toBe(0);
        expect(stdout).toMatch(new RegExp(`Examples:\\n(.*\\n)*.*clavis ${command}`));
        expect(stdout).toContain("--json");
      },
    );

    test("--version is that of the package", async () => {
      const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
      expect((await clavis(["--version"])).stdout).toBe(`${version}\n`);
    });
  });
});
