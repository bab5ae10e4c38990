import { type Command, Option } from "commander";
import { type DeviceName, deviceNames } from "../devices/device.ts";
import { optionValue } from "./errors.ts";

/** The numbers that an option takes. */
export interface Range {
  readonly least: number;
  readonly most?: number;
  readonly whole?: boolean;
  /** Whether `least` itself is outside the range. */
  readonly above?: boolean;
}

/** An option with a number, whose value is checked as it is parsed. */
export function numberOption(flags: string, description: string, range: Range): Option {
  const name = flags.split(" ")[0];
  return new Option(flags, description).argParser((text) => parseNumber(name, text, range));
}

/** @throws ClavisError `usage.option` for what is no number or outside the range */
export function parseNumber(option: string, text: string, range: Range): number {
  const pattern = range.whole ? /^[+-]?\d+$/ : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  const value = pattern.test(text.trim()) ? Number(text) : Number.NaN;
  const most = range.most ?? (range.whole ? Number.MAX_SAFE_INTEGER : Number.MAX_VALUE);
  const inside = (range.above ? value > range.least : value >= range.least) && value <= most;
  if (!inside) throw optionValue(option, text, rangeText(range));
  return value;
}

function rangeText({ least, most, whole, above }: Range): string {
  const kind = whole ? "a whole number" : "a number";
  if (above) return `${kind} above ${least} and at most ${most}`;
  if (most === undefined) return least === Number.MIN_SAFE_INTEGER ? kind : `${kind} of at least ${least}`;
  return `${kind} from ${least} to ${most}`;
}

/** An option that takes one of a few words, the first by default. */
export function choiceOption(flags: string, description: string, choices: readonly string[]): Option {
  const name = flags.split(" ")[0];
  // `choices` would report in words of its own.
  return new Option(flags, `${description} (${choices.join(", ")})`)
    .argParser((text) => {
      if (!choices.includes(text)) throw optionValue(name, text, `one of ${choices.join(", ")}`);
      return text;
    })
    .default(choices[0]);
}

/** What every command has. */
export interface CommonFlags {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

export function commonOptions(command: Command): Command {
  return command
    .option("--json", "print one JSON value on stdout")
    .option("--verbose", "say more on stderr; the stack of an unexpected error");
}

/** How a model is loaded. */
export interface LoadFlags extends CommonFlags {
  readonly context?: number;
  readonly threads?: number;
  readonly device?: "auto" | DeviceName;
  readonly mode?: "fast" | "reproducible";
  readonly kv?: "f16" | "q8";
  readonly policy?: string;
  readonly verify?: boolean;
}

export function loadOptions(command: Command, context?: Option): Command {
  return planOptions(command, context).option(
    "--policy <file>",
    "which models may be loaded (CLAVIS_POLICY, ~/.config/clavis/policy.json)",
  );
}

/** What decides how a model runs, where it is not loaded. */
export function planOptions(
  command: Command,
  context = numberOption("--context <tokens>", "most tokens of prompt and answer together", {
    least: 1,
    whole: true,
  }),
): Command {
  return command
    .addOption(context)
    .addOption(
      numberOption("--threads <count>", "threads to compute with", { least: 1, most: 256, whole: true }),
    )
    .addOption(choiceOption("--device <name>", "what computes", ["auto", ...deviceNames]))
    .addOption(
      choiceOption("--mode <mode>", "reproducible: the same bits on every device", ["fast", "reproducible"]),
    )
    .addOption(
      choiceOption("--kv <type>", "how keys and values are kept; q8 takes half the memory", ["f16", "q8"]),
    )
    .option("--verify", "compare a downloaded model with its digest again, and what is loaded with that");
}

/** How an answer is drawn. */
export interface AnswerFlags {
  readonly temp?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repeatPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly seed?: number;
  readonly maxTokens?: number;
  readonly stop?: string[];
  readonly overflow?: "error" | "shift";
}

export function answerOptions(command: Command): Command {
  return command
    .addOption(
      numberOption("--temp <number>", "temperature; 0 takes the likeliest (0.8)", { least: 0, most: 1000 }),
    )
    .addOption(
      numberOption("--top-k <count>", "draw among so many likeliest; 0: all (40)", { least: 0, whole: true }),
    )
    .addOption(
      numberOption("--top-p <share>", "draw among the likeliest with this share; 1: all (0.95)", {
        least: 0,
        most: 1,
        above: true,
      }),
    )
    .addOption(
      numberOption("--min-p <share>", "drop what is less likely than this share of the likeliest (0.05)", {
        least: 0,
        most: 1,
      }),
    )
    .addOption(
      numberOption("--repeat-penalty <factor>", "against tokens among the last 64; 1: none (1)", {
        least: 0.01,
        most: 100,
      }),
    )
    .addOption(
      numberOption("--presence-penalty <number>", "against tokens that the answer has (0)", {
        least: -100,
        most: 100,
      }),
    )
    .addOption(
      numberOption("--frequency-penalty <number>", "the same for each time that it has them (0)", {
        least: -100,
        most: 100,
      }),
    )
    .addOption(
      numberOption("--seed <number>", "the same seed gives the same answer (drawn at random)", {
        least: Number.MIN_SAFE_INTEGER,
        whole: true,
      }),
    )
    .addOption(
      numberOption("--max-tokens <count>", "most tokens of the answer (what the context has room for)", {
        least: 1,
        whole: true,
      }),
    )
    .addOption(
      new Option("--stop <text>", "end the answer before this text; may be repeated").argParser(
        (text: string, before: string[] | undefined) => {
          if (text === "") throw optionValue("--stop", text, "a text that is not empty");
          return [...(before ?? []), text];
        },
      ),
    )
    .addOption(
      choiceOption("--overflow <what>", "when the context is full: end the answer, or drop the oldest text", [
        "error",
        "shift",
      ]),
    );
}
