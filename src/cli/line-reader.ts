import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";

export type Line =
  | { readonly kind: "line"; readonly text: string }
  /** Ctrl-C at a prompt; `empty` where nothing had been written. */
  | { readonly kind: "interrupt"; readonly empty: boolean }
  /** Ctrl-D at an empty prompt, or the terminal has gone. */
  | { readonly kind: "end" };

const continuation = "… ";

/**
 * Reads messages from a terminal: line editing and history by node:readline; further lines after a backslash
 * at the end, between """ and """, and within pasted text.
 *
 * One interface lives as long as the chat, so that what is typed during an answer is kept: lines wait their
 * turn, and half a line appears at the next prompt. Meanwhile nothing is echoed into the answer.
 */
export class LineReader {
  /** Called for Ctrl-C, Ctrl-D and the end of the terminal while nothing is being read. */
  onInterrupt: () => void = () => {};
  private readonly terminal: NodeJS.WriteStream;
  private readonly readline: Interface;
  private readonly lines: string[] = [];
  private waiting?: (line: Line) => void;
  private reading = false;
  private pasting = false;
  private pasted = "";
  private ended = false;

  constructor(terminal: NodeJS.WriteStream) {
    this.terminal = terminal;
    this.readline = createInterface({
      input: process.stdin,
      output: this.echo(),
      terminal: true,
      historySize: 1000,
      removeHistoryDuplicates: true,
    });
    insertAtCursor(this.readline);
    this.readline.on("line", (text) => this.onLine(text));
    this.readline.on("SIGINT", () => this.onControlC());
    this.readline.on("close", () => {
      this.ended = true;
      if (this.waiting) this.deliver({ kind: "end" });
      else this.onInterrupt();
    });
    process.stdin.on("keypress", (_, key?: { name?: string }) => {
      if (key?.name === "paste-start") this.pasting = true;
      if (key?.name === "paste-end") this.pasting = false;
    });
    this.bracketedPaste(true);
  }

  /** The next message, which may have several lines. */
  async read(prompt: string): Promise<Line> {
    const parts: string[] = [];
    let quoted = false;
    for (;;) {
      const line = await this.readOne(parts.length === 0 ? prompt : continuation);
      if (line.kind === "interrupt") return { kind: "interrupt", empty: line.empty && parts.length === 0 };
      if (line.kind === "end") return line;
      let { text } = line;
      if (parts.length === 0 && text.trimStart().startsWith('"""')) {
        quoted = true;
        text = text.trimStart().slice(3);
      }
      if (quoted && text.trimEnd().endsWith('"""')) {
        parts.push(text.trimEnd().slice(0, -3));
        return { kind: "line", text: parts.join("\n") };
      }
      if (quoted) parts.push(text);
      else if (text.endsWith("\\")) parts.push(text.slice(0, -1));
      else return { kind: "line", text: [...parts, text].join("\n") };
    }
  }

  close(): void {
    this.bracketedPaste(false);
    this.readline.close();
  }

  private readOne(prompt: string): Promise<Line> {
    if (this.ended && this.lines.length === 0) return Promise.resolve({ kind: "end" });
    return new Promise((resolve) => {
      this.waiting = resolve;
      this.reading = true;
      this.readline.setPrompt(prompt);
      const next = this.lines.shift();
      if (next === undefined) this.readline.prompt(true);
      else {
        // Typed during the answer: shown now, as if it had been typed here.
        this.terminal.write(`${prompt}${next.replaceAll("\n", `\n${continuation}`)}\n`);
        this.deliver({ kind: "line", text: next });
      }
    });
  }

  private onLine(text: string): void {
    if (this.pasting) {
      this.pasted += `${text}\n`;
      // readline draws its prompt again only when asked to.
      if (this.reading) {
        this.readline.setPrompt(continuation);
        this.readline.prompt();
      }
      return;
    }
    const whole = this.pasted + text;
    this.pasted = "";
    if (this.waiting) this.deliver({ kind: "line", text: whole });
    else this.lines.push(whole);
  }

  private onControlC(): void {
    if (!this.waiting) {
      this.lines.length = 0;
      this.clearLine();
      this.onInterrupt();
      return;
    }
    const empty = this.readline.line === "" && this.pasted === "";
    this.terminal.write("^C\n");
    this.reading = false;
    this.clearLine();
    this.deliver({ kind: "interrupt", empty });
  }

  private clearLine(): void {
    this.pasted = "";
    this.readline.write(null as unknown as string, { ctrl: true, name: "e" });
    this.readline.write(null as unknown as string, { ctrl: true, name: "u" });
  }

  private deliver(line: Line): void {
    const waiting = this.waiting;
    this.waiting = undefined;
    this.reading = false;
    waiting?.(line);
  }

  /** A stream for readline that writes to the terminal only while a line is being read. */
  private echo(): Writable {
    const { terminal } = this;
    const echo = new Writable({
      write: (chunk, _encoding, done) => {
        if (this.reading) terminal.write(chunk);
        done();
      },
    });
    Object.defineProperty(echo, "columns", { get: () => terminal.columns });
    terminal.on("resize", () => echo.emit("resize"));
    return echo;
  }

  /** Asks the terminal to mark pasted text, so that its line breaks do not send it. */
  private bracketedPaste(on: boolean): void {
    if (process.env.TERM !== "dumb") this.terminal.write(on ? "\u001b[?2004h" : "\u001b[?2004l");
  }
}

/**
 * Where several characters arrive at once, readline appends them wherever the cursor is: it turns completion
 * off meanwhile, and with it the care for the cursor (Node 20, lib/internal/readline). This keeps the
 * short way for a cursor at the end only.
 */
function insertAtCursor(readline: Interface): void {
  Object.defineProperty(readline, "isCompletionEnabled", {
    get: () => readline.cursor < readline.line.length,
    set: () => {},
  });
}
