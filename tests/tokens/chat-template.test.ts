import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ClavisError } from "../../src/errors.ts";
import { compileTemplate } from "../../src/tokens/chat-template.ts";
import { describeShared, sharedPath } from "../support/shared.ts";

const render = (source: string, context: Record<string, unknown> = {}) =>
  compileTemplate(source).render(context);

/** The code of the ClavisError that a call throws. */
function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof ClavisError) return error.code;
    throw error;
  }
  return "no error";
}

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
    expect(render(template, data)).toBe(expected);
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

/** The goldens' functions, which JSON cannot hold, by the sources that stand for them. */
const functions: Record<string, unknown> = {
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
  if (!(source in functions))
    throw new Error(`the goldens have a function that is not known here: ${source}`);
  return functions[source];
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
    ["conditions", "{% if x %}".repeat(40_000) + "{% endif %}".repeat(40_000)],
    ["brackets", `{{ ${"[".repeat(200_000)} }}`],
    ["open tags", "{{".repeat(200_000)],
    ["open comments", "{#".repeat(200_000)],
    ["minus signs", `{{ ${"- ".repeat(200_000)}1 }}`],
  ])("nested %s do not crash", (_, source) =>
    expect(codeOf(() => render(source))).toMatch(/^template\.(syntax|failed|budget)$/),
  );
});

const doubled = (start: string, times: number) =>
  `{% set ns = namespace(x=${start}) %}` +
  `{% for i in range(${times}) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}`;
const nested = (times: number) =>
  `{% set ns = namespace(x=[1]) %}{% for i in range(${times}) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}`;

describe("the step budget", () => {
  test.each([
    ["a long range", "{% for i in range(3000000) %}{% endfor %}"],
    ["a range that is not used", "{{ range(100000000) | length }}"],
    ["an endless range", "{% for i in range(9007199254740991) %}x{% endfor %}"],
    ["nested loops", "{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}"],
    [
      "nested loops with work",
      "{% for i in range(3000) %}{% for j in range(3000) %}{{ i + j }}{% endfor %}{% endfor %}",
    ],
    [
      "unknown names",
      "{% for i in range(3000) %}{% for j in range(3000) %}{{ nothing }}{% endfor %}{% endfor %}",
    ],
    ["a loop over a filter", "{% for i in range(2000) if i in range(2000) %}{% endfor %}"],
    ["a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"],
    [
      "a macro that calls itself twice",
      "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    ],
    ["a doubled string", doubled("'x'", 60)],
    ["a doubled string that is not written", `${doubled("'x'", 28)}{{ ns.x | upper | length }}`],
    [
      "a doubled list",
      `{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`,
    ],
    ["a list in itself, as JSON", `${nested(60)}{{ ns.x | tojson | length }}`],
    ["a list in itself, written", `${nested(60)}{{ ns.x }}`],
    ["a list in itself, joined to a string", `${nested(60)}{{ 'a' ~ ns.x }}`],
    ["a list in itself, compared with a string", `${nested(60)}{{ 'a' == ns.x }}`],
    ["a list in itself, as a string", `${nested(60)}{{ ns.x | string | length }}`],
    ["a list in itself, joined", `${nested(60)}{{ ns.x | join(',') | length }}`],
    ["replacing by much", `${doubled("'x'", 20)}{{ ns.x | replace('x', ns.x) }}`],
    ["replacing by much, as a method", `${doubled("'x'", 20)}{{ ns.x.replace('x', ns.x) | length }}`],
    ["replacing in a call block", `${doubled("'x'", 20)}{% call ns.x.replace('x', ns.x) %}{% endcall %}`],
    ["joining with much", `${doubled("'x'", 20)}{{ range(100000) | join(ns.x) | length }}`],
    ["joining a string with much", `${doubled("'x'", 20)}{{ ns.x | join(ns.x) | length }}`],
    ["indenting by much", "{{ 'a\nb' | indent(100000000) | length }}"],
    ["indenting JSON by much", "{{ [[[1]]] | tojson(indent=100000000) | length }}"],
    [
      "JSON with long separators",
      `${doubled("'x'", 20)}{{ range(1000) | tojson(separators=(ns.x, ns.x)) | length }}`,
    ],
    [
      "searching for much",
      `${doubled("'a'", 21)}{% set b = 'b' ~ ns.x[:500000] %}{% for i in range(1000) %}{{ b in ns.x }}{% endfor %}`,
    ],
    [
      "splitting",
      `${doubled("'a '", 21)}{% for i in range(100) %}{{ ns.x.split(' ') | length }}{% endfor %}`,
    ],
    [
      "upper case, again and again",
      `${doubled("'a'", 20)}{% for i in range(100000) %}{% set y = ns.x | upper %}{% endfor %}`,
    ],
    ["slices", `${doubled("'a'", 20)}{% for i in range(100000) %}{% set y = ns.x[1:] %}{% endfor %}`],
    ["sorting", "{% for i in range(1000) %}{% set y = range(10000) | sort %}{% endfor %}"],
    ["reversing", "{% for i in range(1000) %}{% set y = range(10000) | reverse %}{% endfor %}"],
    ["dates", "{% for i in range(1000000) %}{{ strftime_now('%B %d %Y') }}{% endfor %}"],
    [
      "a filter block",
      `{% for i in range(100000) %}{% filter upper %}${"a".repeat(10_000)}{% endfilter %}{% endfor %}`,
    ],
    [
      "spread arguments",
      "{% macro m() %}{{ varargs | length }}{% endmacro %}{% for i in range(1000) %}{{ m(*range(10000)) }}{% endfor %}",
    ],
    ["much output", `{% for i in range(10000) %}${"x".repeat(10_000)}{% endfor %}`],
  ])("stops %s in good time", (_, source) => {
    const start = performance.now();
    expect(codeOf(() => render(source))).toBe("template.budget");
    expect(performance.now() - start).toBeLessThan(2000);
  });

  test("is what the caller says", () => {
    const source = "{% for i in range(100) %}{{ i }}{% endfor %}";
    expect(codeOf(() => compileTemplate(source, { stepBudget: 100 }).render({}))).toBe("template.budget");
    expect(codeOf(() => compileTemplate(source, { stepBudget: 2000 }).render({}))).toBe("no error");
  });

  test("is new for each rendering", () => {
    const template = compileTemplate("{% for i in range(100) %}{{ i }}{% endfor %}", { stepBudget: 2000 });
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
    "{{ {}.__proto__.x }}",
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
