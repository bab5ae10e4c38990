#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { ClavisError } from "../errors.ts";
import { packageFile } from "../node-package.ts";
import { addBench } from "./bench.ts";
import { addDevices } from "./devices.ts";
import { exitCodeOf, Interrupted, OutputClosed, wrongUsage } from "./errors.ts";
import { addEval } from "./eval.ts";
import { addExplain } from "./explain.ts";
import { addInfo } from "./info.ts";
import { addKeygen } from "./keygen.ts";
import { addList } from "./list.ts";
import { addLogits } from "./logits.ts";
import { printJson } from "./output.ts";
import { addPull } from "./pull.ts";
import { addRm } from "./rm.ts";
import { addRun } from "./run.ts";
import { addSign } from "./sign.ts";
import { addTokenize } from "./tokenize.ts";
import { addVerify } from "./verify.ts";

// Results go to stdout, all else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
// Commands load the engine only when they run, so that --help and --version answer at once.

const program = new Command("clavis")
  .description("Runs language models on the processors people already have.")
  .version(version(), "--version", "print the version")
  .helpOption("-h, --help", "show help")
  .helpCommand("help [command]", "show help for a command")
  .configureHelp({ showGlobalOptions: false })
  // What the parser complains of is reported below, in the form of all errors.
  .configureOutput({ outputError: () => {} })
  .exitOverride();

for (const add of [
  addRun,
  addPull,
  addList,
  addRm,
  addInfo,
  addExplain,
  addTokenize,
  addLogits,
  addDevices,
  addBench,
  addEval,
  addSign,
  addVerify,
  addKeygen,
])
  add(program);
for (const command of program.commands) command.copyInheritedSettings(program);
program.addHelpText(
  "after",
  `
Examples:
  clavis run                                   chat with the model that comes with the package
  clavis run "Write a story about a dog."      answer once
  clavis run model.gguf < question.txt         answer what stdin asks
  clavis run qwen3:0.6b                        chat with a well-known model, downloaded at the first use
  clavis info model.gguf                       what a model file says of itself

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.`,
);

// Failed writes are reported by whoever writes; without a listener they would end the process first.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

try {
  await program.parseAsync();
  await ended(0);
} catch (error) {
  await ended(await report(asUsage(error)));
}

/** Leaves when everything written has reached the system; an open stdin does not keep the process. */
async function ended(exitCode: number): Promise<void> {
  await Promise.all([process.stdout, process.stderr].map(drained));
  process.exit(exitCode);
}

function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableLength === 0) resolve();
    else stream.write("", () => resolve());
  });
}

/** What the option parser throws, as an error of ours; undefined where it only showed help. */
function asUsage(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  if (error.exitCode === 0) return undefined;
  if (error.code === "commander.help") return wrongUsage("command", "no command", "clavis");
  const [complaint, ...suggestion] = error.message.replace(/^error: /, "").split("\n");
  const kind = /option/i.test(error.code) ? "option" : /command$/i.test(error.code) ? "command" : "argument";
  const command = program.commands.find((one) => one.name() === process.argv[2]);
  const path = command ? `clavis ${command.name()}` : "clavis";
  return wrongUsage(
    kind,
    complaint.replace(/\.$/, ""),
    path,
    suggestion.join(" ").replace(/^\(|\)$/g, "") || undefined,
  );
}

/** Says on stderr what went wrong, with --json on stdout as well, and returns the exit code. */
async function report(error: unknown): Promise<number> {
  if (error === undefined) return 0;
  const flags = process.argv.slice(2, process.argv.includes("--") ? process.argv.indexOf("--") : undefined);
  const exitCode = exitCodeOf(error);
  if (error instanceof OutputClosed) return exitCode;
  if (error instanceof Interrupted) process.stderr.write("clavis: interrupted\n");
  else if (error instanceof ClavisError) {
    const { code, found, expected, next } = error;
    process.stderr.write(`clavis: ${code}: ${found}\n  expected: ${expected}\n  next: ${next}\n`);
  } else {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`clavis: internal: ${message}\n`);
    if (!flags.includes("--verbose"))
      process.stderr.write("  next: Run it again with --verbose and report the stack.\n");
  }
  if (flags.includes("--verbose") && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  if (flags.includes("--json")) await printJson({ error: asData(error) }).catch(() => {});
  return exitCode;
}

function asData(error: unknown): object {
  if (error instanceof ClavisError) return { ...error.toJSON(), message: error.message };
  if (error instanceof Interrupted) return { code: "interrupted", message: error.message };
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}

function version(): string {
  return JSON.parse(readFileSync(packageFile("package.json"), "utf8")).version;
}
