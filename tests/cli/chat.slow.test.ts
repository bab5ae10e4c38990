import { afterEach, expect, test } from "vitest";
import { describeTerminal, Terminal } from "./clavis.ts";

const control = (letter: string) => String.fromCharCode(letter.charCodeAt(0) & 31);
const left = "\u001b[D";
const up = "\u001b[A";
const backspace = "\u007f";

describeTerminal("clavis run without a prompt", () => {
  let terminal: Terminal;
  afterEach(() => terminal.close());

  async function open(...args: string[]): Promise<number> {
    terminal = new Terminal(["run", "stories", "--temp", "0", ...args]);
    return terminal.shows("> ");
  }

  test("says what it runs, lists its commands, and leaves with Ctrl-D", async () => {
    let at = await open();
    expect(terminal.screen).toContain("Clavis Stories · 5.77 million parameters");
    terminal.type("/help\r");
    at = await terminal.shows("/clear", at);
    at = await terminal.shows("> ", at);
    terminal.type("/nothing\r");
    at = await terminal.shows("There is no command /nothing", at);
    at = await terminal.shows("> ", at);
    terminal.type(control("D"));
    await terminal.shows("exit code 0", at);
  });

  test("answers a line that was edited, and remembers it", async () => {
    let at = await open("--max-tokens", "4");
    // "/sttts" becomes "/stats" by going left twice and replacing a letter.
    terminal.type(`/sttts${left}${left}${backspace}a\r`);
    at = await terminal.shows("There is no finished answer yet.", at);
    at = await terminal.shows("> ", at);
    terminal.type("Tell me a story.\r");
    at = await terminal.shows("The answer was cut at --max-tokens 4.", at);
    at = await terminal.shows("> ", at);
    terminal.type(`${up}${up}\r`);
    at = await terminal.shows(/answer 4 tokens/, at);
    await terminal.shows("> ", at);
    terminal.type("/exit\r");
    await terminal.shows("exit code 0", at);
  });

  test("later messages see the conversation until it is cleared", async () => {
    let at = await open("--max-tokens", "2", "--verbose");
    const promptTokens: number[] = [];
    for (const line of ["Hello.", "Hello.", "/clear", "Hello."]) {
      terminal.type(`${line}\r`);
      if (line === "/clear") at = await terminal.shows("forgotten", at);
      else {
        const from = at;
        at = await terminal.shows(/thread/, at);
        promptTokens.push(Number(/prompt (\d+) token/.exec(terminal.screen.slice(from))![1]));
      }
      at = await terminal.shows("> ", at);
    }
    expect(promptTokens[1]).toBeGreaterThan(promptTokens[0]);
    expect(promptTokens[2]).toBe(promptTokens[0]);
  });

  test("Ctrl-C stops an answer and keeps the chat; at an empty prompt it says how to leave", async () => {
    // The slowest device: the answer must not have ended before Ctrl-C arrives.
    let at = await open("--overflow", "shift", "--device", "reference");
    terminal.type("Write a long story.\r");
    at = await terminal.shows(/[A-Z]\w+ \w+/, await terminal.shows("story.", at));
    terminal.type(control("C"));
    at = await terminal.shows("Stopped.", at);
    at = await terminal.shows("> ", at);
    terminal.type(`half a line${control("C")}`);
    at = await terminal.shows("> ", await terminal.shows("^C", at));
    terminal.type(control("C"));
    at = await terminal.shows("Ctrl-D or /exit leaves.", at);
    at = await terminal.shows("> ", at);
    terminal.type(control("D"));
    await terminal.shows("exit code 0", at);
  });

  test("messages of several lines, by backslash, by quotes and by pasting", async () => {
    let at = await open("--max-tokens", "1", "--verbose");
    const counts: string[] = [];
    for (const typed of ["one\\\rtwo\r", '"""one\rtwo"""\r', "\u001b[200~one\rtwo\u001b[201~\r"]) {
      terminal.type("/clear\r");
      at = await terminal.shows("> ", await terminal.shows("forgotten", at));
      terminal.type(typed);
      const from = at;
      at = await terminal.shows(/thread/, at);
      counts.push(/prompt (\d+) token/.exec(terminal.screen.slice(from))![1]);
      at = await terminal.shows("> ", at);
    }
    expect(new Set(counts).size).toBe(1);
  });

  test("what is typed during an answer is asked next, and does not disturb the answer", async () => {
    let at = await open("--max-tokens", "30");
    terminal.type("Write a story.\r/stats\r");
    at = await terminal.shows("The answer was cut", at);
    at = await terminal.shows("> /stats", at);
    await terminal.shows("answer 30 tokens", at);
  });

  test("a message that does not fit is refused and forgotten", async () => {
    let at = await open("--context", "64", "--max-tokens", "1");
    terminal.type(`${"a dog ".repeat(60)}\r`);
    at = await terminal.shows("context.overflow", at);
    at = await terminal.shows("> ", at);
    terminal.type("Hello.\r");
    at = await terminal.shows("The answer was cut", at);
  });
});
