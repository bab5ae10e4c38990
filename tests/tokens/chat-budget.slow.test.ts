import { describe, expect, test } from "vitest";
import { compileTemplate } from "../../src/tokens/chat-template.ts";
import { codeOf } from "./files.ts";

const render = (source: string) => compileTemplate(source).render({});

const doubled = (start: string, times: number) =>
  `{% set ns = namespace(x=${start}) %}` +
  `{% for i in range(${times}) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}`;
const nested = (times: number) =>
  `{% set ns = namespace(x=[1]) %}{% for i in range(${times}) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}`;

// Each takes about half a second by itself; the bound allows for a busy machine.
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
    [
      "replacing in a call block",
      `${doubled("'x'", 20)}{% set r = ns.x.replace %}{% call r('x', ns.x) %}{% endcall %}`,
    ],
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
    [
      "a macro that is defined again and again",
      `{% for i in range(50000) %}{% macro m() %}${"{{ x }}".repeat(50_000)}{% endmacro %}{% endfor %}`,
    ],
    [
      "a method under another name",
      `${doubled("'x'", 20)}{% set f = ns.x.replace %}{{ f('x', ns.x) | length }}`,
    ],
    [
      "a method in a map",
      `${doubled("'x'", 20)}{% set f = {'g': ns.x.replace} %}{{ f.g('x', ns.x) | length }}`,
    ],
    ["a namespace in itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}"],
    [
      "methods",
      "{% for i in range(1000) %}{% for c in 'a b c d e f g h'.split(' ') %}{{ c.upper() }}{% for d in [c, c, c] %}{{ d.lower() }}{% endfor %}{% endfor %}{% endfor %}",
    ],
    ["much output", `{% for i in range(10000) %}${"x".repeat(10_000)}{% endfor %}`],
  ])("stops %s in good time", (_, source) => {
    const start = performance.now();
    expect(codeOf(() => render(source))).toBe("template.budget");
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
