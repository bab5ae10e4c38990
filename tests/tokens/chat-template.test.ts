import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { compileTemplate } from "../../src/tokens/chat-template.ts";
import { describeShared, sharedPath } from "../support/shared.ts";
import { codeOf } from "./files.ts";

const render = (source: string, context: Record<string, unknown> = {}) =>
  compileTemplate(source).render(context);

describeShared("conformance/hf-jinja-goldens", "templates of published models", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(new Date("2025-07-10T12:00:00Z"));
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const read = (name: string) =>
    JSON.parse(readFileSync(sharedPath(`conformance/hf-jinja-goldens/${name}.json`), "utf8")).cases;

  interface WholeCase {
    readonly set: string;
    readonly name: string;
    readonly template: string;
    readonly data: Record<string, unknown>;
    readonly expected: string;
  }
  test.each<WholeCase>(read("e2e"))("$set $name", ({ template, data, expected }) => {
    expect(render(template, revived(data) as Record<string, unknown>)).toBe(expected);
  });

  interface UnitCase {
    readonly name: string;
    readonly template: string;
    readonly context: Record<string, unknown>;
    readonly expected: string;
  }
  test.each<UnitCase>(read("unit"))("$name", ({ template, context, expected }) => {
    expect(render(template, revived(context) as Record<string, unknown>)).toBe(expected);
  });
});

const parameters = (properties: Record<string, unknown>) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
});

/** What the goldens could not hold as JSON, by the sources that stand for it. */
const values: Record<string, unknown> = {
  "JSON.stringify(EXAMPLE_FUNCTION_SPEC, null, 4)": JSON.stringify(
    [
      {
        name: "get_stock_price",
        description: "Get the current stock price",
        parameters: parameters({
          symbol: { type: "string", description: "The stock symbol, e.g. AAPL, GOOG" },
        }),
      },
      {
        name: "check_word_anagram",
        description: "Check if two words are anagrams of each other",
        parameters: parameters({
          word1: { type: "string", description: "The first word" },
          word2: { type: "string", description: "The second word" },
        }),
      },
    ],
    null,
    4,
  ),
  "(x, y) => x + y": (x: number, y: number) => x + y,
  "(...args) => args.length": (...args: unknown[]) => args.length,
  '(...args) => args.join("")': (...args: unknown[]) => args.join(""),
  '(...args) => args.join("_")': (...args: unknown[]) => args.join("_"),
  "() => {}": () => {},
};

function revived(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revived);
  if (typeof value !== "object" || value === null) return value;
  const source = (value as { $unsupported?: string }).$unsupported;
  if (source === undefined) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revived(v)]));
  if (!(source in values)) throw new Error(`the goldens have a value that is not known here: ${source}`);
  return values[source];
}

describe("errors", () => {
  test("raise_exception carries the template's message", () => {
    expect(() => render("{{ raise_exception('Roles must alternate') }}")).toThrow(/Roles must alternate/);
    expect(codeOf(() => render("{{ raise_exception('no') }}"))).toBe("template.raised");
  });

  test.each(["{% if x %}", "{{ ", "{% for x in %}{% endfor %}", "{{ 'a }}", "{% endif %}", "{{ 1 + }}"])(
    "%s is a syntax error",
    (source) => expect(codeOf(() => compileTemplate(source))).toBe("template.syntax"),
  );

  test.each([
    "{{ 1 + none }}",
    "{{ nothing() }}",
    "{{ 'a' | nothing }}",
    "{% for x in 3 %}{% endfor %}",
    "{{ range(1.5) }}",
    "{{ range(0, 5, 0) }}",
    "{% break %}",
  ])("%s fails", (source) => expect(codeOf(() => render(source))).toBe("template.failed"));

  test.each([
    ["a long text", "x".repeat(600_000)],
    ["much white space", `a${" ".repeat(300_000)}b`],
  ])("a template with %s is refused", (_, source) =>
    expect(codeOf(() => compileTemplate(source))).toBe("template.size"),
  );

  test.each([
    ["parentheses", `{{ ${"(".repeat(100_000)}1${")".repeat(100_000)} }}`],
    ["conditions", "{% if x %}".repeat(20_000) + "{% endif %}".repeat(20_000)],
    ["brackets", `{{ ${"[".repeat(200_000)} }}`],
    ["open tags", "{{".repeat(200_000)],
    ["open comments", "{#".repeat(200_000)],
    ["minus signs", `{{ ${"- ".repeat(200_000)}1 }}`],
  ])("nested %s do not crash", (_, source) =>
    expect(codeOf(() => render(source))).toMatch(/^template\.(syntax|failed|budget)$/),
  );
});

describe("the step budget", () => {
  test("is what the caller says", () => {
    const source = "{% for i in range(100) %}{{ i }}{% endfor %}";
    expect(codeOf(() => compileTemplate(source, { stepBudget: 100 }).render({}))).toBe("template.budget");
    expect(codeOf(() => compileTemplate(source, { stepBudget: 10_000 }).render({}))).toBe("no error");
  });

  test("is new for each rendering", () => {
    const template = compileTemplate("{% for i in range(100) %}{{ i }}{% endfor %}", { stepBudget: 10_000 });
    for (let i = 0; i < 5; i++) expect(template.render({})).toMatch(/^0123/);
  });

  test("suffices for a long conversation", () => {
    const template = compileTemplate(
      "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('x') }}{% endif %}" +
        "<|{{ m.role }}|>{{ m.content.split('</think>')[-1] | trim }}{{ '<|end|>' if not loop.last }}{% endfor %}",
    );
    const messages = Array.from({ length: 2000 }, (_, i) => ({
      role: i % 2 === 0 ? "user" : "assistant",
      content: "All work and no play. ".repeat(50),
    }));
    expect(template.render({ messages }).length).toBeGreaterThan(2_000_000);
  });
});

describe("JavaScript stays out of reach", () => {
  test.each([
    "{{ 'a'.constructor }}",
    "{{ 'a'['constructor'] }}",
    "{{ [].constructor }}",
    "{{ {}.constructor }}",
    "{{ {}['__proto__'] }}",
    "{{ messages.__proto__ }}",
    "{{ messages[0].constructor }}",
    "{{ namespace.constructor }}",
    "{{ range.constructor }}",
    "{{ (1).constructor }}",
    "{{ none.constructor }}",
    "{{ constructor }}",
    "{{ __proto__ }}",
    "{{ toString }}",
    "{{ globalThis }}",
    "{{ process }}",
    "{{ this }}",
  ])("%s is nothing", (source) => {
    expect(render(source, { messages: [{ role: "user", content: "hi" }] })).toBe("");
  });

  test.each([
    "{{ 'a'.constructor('x') }}",
    "{{ raise_exception.constructor('return process')() }}",
    "{{ [].constructor.constructor('return 1')() }}",
    "{{ {}.__proto__() }}",
    "{{ 'a' | constructor }}",
    "{{ {} | __proto__ }}",
    "{{ x is constructor }}",
  ])("%s fails", (source) => expect(codeOf(() => render(source))).toBe("template.failed"));

  test("a message may have fields of any name", () => {
    const message = JSON.parse('{"role": "user", "__proto__": {"polluted": 1}, "constructor": "c"}');
    expect(render("{{ m.constructor }}{{ m.polluted }}", { m: message })).toBe("c");
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("names that the library keeps for itself may be in the context", () => {
    expect(render("{{ range }}{{ namespace(a=1).a }}", { range: "r", namespace: "n" })).toBe("r1");
  });
});
