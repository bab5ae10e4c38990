import { ClavisError } from "../errors.ts";
import type { GenerateResult, Message, Model } from "../index.ts";
import { Interrupted } from "./errors.ts";
import { count, plural, visible } from "./format.ts";
import { LineReader } from "./line-reader.ts";
import { faint, printAnswer } from "./output.ts";
import { answerLines, type RunFlags, startAnswer } from "./run.ts";

const help = `  /help           this list
  /system TEXT    begin again with this system message; without TEXT, without one
  /clear          forget the conversation
  /retry          answer the last message again
  /stats          figures of the last answer
  /exit           leave (also Ctrl-D)

  A backslash at the end of a line, or """ before and after, makes a message of several lines.
  Ctrl-C stops an answer; what was said so far stays in the conversation.
  A message that begins with a slash: write two.
`;

/**
 * A conversation on the terminal, until the user leaves.
 *
 * @param signal  ends it from outside: `kill -INT`, where Ctrl-C only stops an answer
 */
export async function chat(model: Model, flags: RunFlags, signal: AbortSignal): Promise<void> {
  // Answers go to stdout, even to a file; the conversation around them to where it can be seen.
  const terminal = process.stdout.isTTY ? process.stdout : process.stderr;
  const reader = new LineReader(terminal);
  signal.addEventListener("abort", () => reader.close());
  try {
    await new Chat(model, flags, terminal, reader).run();
    signal.throwIfAborted();
  } finally {
    reader.close();
  }
}

class Chat {
  private readonly model: Model;
  private readonly flags: RunFlags;
  private readonly terminal: NodeJS.WriteStream;
  private readonly reader: LineReader;
  private system?: string;
  /** Without the system message. */
  private messages: Message[] = [];
  private last?: GenerateResult;

  constructor(model: Model, flags: RunFlags, terminal: NodeJS.WriteStream, reader: LineReader) {
    this.model = model;
    this.flags = flags;
    this.terminal = terminal;
    this.reader = reader;
    this.system = flags.system;
  }

  async run(): Promise<void> {
    const { info } = this.model;
    this.say(
      `${info.name ?? "A model"} · ${count(info.parameters)} parameters · ${info.device} (${info.kernels}), ` +
        `${plural(info.threads, "thread")} · context ${info.context}`,
    );
    if (this.flags.raw) this.say("Each line is continued on its own (--raw).");
    this.say("/help shows the commands, Ctrl-D leaves.");
    for (;;) {
      const line = await this.reader.read("> ");
      if (line.kind === "end") {
        this.terminal.write("\n");
        return;
      }
      if (line.kind === "interrupt") {
        if (line.empty) this.say("Ctrl-D or /exit leaves.");
        continue;
      }
      const text = line.text.trim();
      if (text === "") continue;
      if (!text.startsWith("/") || text.startsWith("//")) await this.ask(text.replace(/^\/\//, "/"));
      else if (!(await this.command(text))) return;
    }
  }

  /** @returns false to leave */
  private async command(text: string): Promise<boolean> {
    const [, name, rest] = /^\/(\S*)\s*(.*)$/s.exec(text)!;
    switch (name) {
      case "help":
      case "?":
        this.terminal.write(help);
        return true;
      case "exit":
      case "quit":
      case "bye":
        return false;
      case "clear":
        this.messages = [];
        this.say("The conversation is forgotten.");
        return true;
      case "system":
        if (this.flags.raw) this.say("With --raw there is no place for a system message.");
        else {
          this.system = rest === "" ? undefined : rest;
          this.messages = [];
          this.say(
            rest === ""
              ? "A new conversation, without a system message."
              : "A new conversation with this system message.",
          );
        }
        return true;
      case "retry": {
        const asked = this.messages.findLastIndex(({ role }) => role === "user");
        if (asked < 0) this.say("There is no message to answer yet.");
        else {
          const { content } = this.messages[asked];
          this.messages.length = asked;
          await this.ask(content);
        }
        return true;
      }
      case "stats":
        if (!this.last) this.say("There is no finished answer yet.");
        else for (const line of answerLines(this.model.info, this.last, this.flags)) this.say(line);
        return true;
      default:
        this.say(`There is no command /${visible(name)}; /help lists them.`);
        return true;
    }
  }

  private async ask(content: string): Promise<void> {
    const asked: Message = { role: "user", content };
    const controller = new AbortController();
    this.reader.onInterrupt = () => controller.abort(new Interrupted());
    let text = "";
    try {
      const system: Message[] = this.system === undefined ? [] : [{ role: "system", content: this.system }];
      const stream = startAnswer(
        this.model,
        [...system, ...this.messages, asked],
        this.flags,
        controller.signal,
      );
      for await (const piece of stream) {
        text += piece.text;
        await printAnswer(piece.text);
      }
      this.last = await stream.result;
    } catch (error) {
      if (!(error instanceof Interrupted)) {
        if (!(error instanceof ClavisError)) throw error;
        this.fail(error, text);
        return;
      }
    } finally {
      this.reader.onInterrupt = () => {};
    }
    const stopped = controller.signal.aborted;
    await printAnswer(text.endsWith("\n") ? "\n" : "\n\n");
    // A conversation that is too long stays as it was, so that the message can be sent in another way.
    if (text !== "") this.messages.push(asked, { role: "assistant", content: text });
    if (stopped)
      this.say(text === "" ? "Stopped before the answer began; the message is dropped." : "Stopped.");
    else if (this.flags.verbose || this.last?.finishReason === "length" || this.last!.shifts > 0) {
      for (const line of answerLines(this.model.info, this.last!, this.flags)) this.say(line);
    }
  }

  private fail(error: ClavisError, text: string): void {
    if (text !== "" && !text.endsWith("\n")) this.terminal.write("\n");
    const next =
      error.code === "context.overflow"
        ? "/clear forgets the conversation, --context makes room."
        : error.next;
    this.say(`${error.code}: ${error.found}; expected ${error.expected}. ${next}`);
  }

  private say(text: string): void {
    this.terminal.write(`${faint(visible(text), this.terminal)}\n`);
  }
}
