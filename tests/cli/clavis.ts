import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";
import { root } from "../support/shared.ts";

/** The built command. `npm test` and `npm run check` build it first. */
export const main = join(root, "dist/node/main.js");

export function describeBuilt(title: string, body: () => void): void {
  const built = existsSync(main);
  describe.skipIf(!built)(
    built ? title : `${title} (skipped: dist/ is not there, npm run build makes it)`,
    body,
  );
}

/** Runs in a pseudo-terminal, which `script` of util-linux makes. */
const hasScript = /util-linux/.test(spawnSync("script", ["--version"]).stdout?.toString() ?? "");

export function describeTerminal(title: string, body: () => void): void {
  const reason = hasScript ? undefined : "the script command of util-linux is not there";
  describeBuilt(reason ? `${title} (skipped: ${reason})` : title, () => {
    describe.skipIf(reason !== undefined)("on a terminal", body);
  });
}

export interface Outcome {
  /** Undefined where a signal ended the process. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** What stdin is: this text, or with null the null device. Default: null. */
  readonly input?: string | Uint8Array | null;
  /** A path that stdout is written to. */
  readonly stdoutTo?: string;
  /** Added to the variables of this process; undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called as soon as the process runs. */
  readonly started?: (child: ChildProcess) => void;
}

/** Runs the built command to its end. */
export function clavis(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { input = null, stdoutTo, env, started } = options;
  const child = spawn(process.execPath, [main, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: [input === null ? "ignore" : "pipe", stdoutTo ? openSync(stdoutTo, "w") : "pipe", "pipe"],
  });
  if (input !== null) {
    // A command that fails early does not read all of its input.
    child.stdin!.on("error", () => {});
    child.stdin!.end(input);
  }
  return outcome(child, started);
}

function outcome(child: ChildProcess, started?: (child: ChildProcess) => void): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? undefined, stdout, stderr }));
    started?.(child);
  });
}

/** The built command in a pseudo-terminal: what is typed, and what the screen was sent. */
export class Terminal {
  /** All that was written so far. */
  screen = "";
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;

  constructor(args: readonly string[]) {
    const quoted = [process.execPath, main, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
    // The shell says the exit code, because not every script command passes it on.
    this.child = spawn("script", ["-qfc", `${quoted.join(" ")}; echo "exit code $?"`, "/dev/null"], {
      cwd: root,
      env: { ...process.env, TERM: "xterm", SHELL: "/bin/sh" },
      // script writes there only that it was ended.
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.child.stdout!.setEncoding("utf8").on("data", (text) => {
      this.screen += text;
    });
    this.ended = new Promise((resolve) => this.child.on("close", () => resolve()));
  }

  type(text: string): void {
    this.child.stdin!.write(text);
  }

  /** Waits until a text is on the screen after what `from` says, and returns the screen up to its end. */
  async shows(text: string | RegExp, from = 0, timeoutMs = 60_000): Promise<number> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const rest = this.screen.slice(from);
      const match = typeof text === "string" ? rest.indexOf(text) : rest.search(text);
      if (match >= 0) return from + match + (typeof text === "string" ? text.length : 1);
      if (Date.now() > deadline) throw new Error(`${text} did not appear; the screen:\n${rest}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  close(): void {
    this.child.kill();
  }
}
