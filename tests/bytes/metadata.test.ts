import { describe, expect, test } from "vitest";
import { Metadata } from "../../src/bytes/metadata.ts";

const metadata = new Metadata({
  count: 7,
  huge: 2n ** 60n,
  infinite: Number.POSITIVE_INFINITY,
  name: "llama",
  on: true,
  off: false,
  zero: 0,
  empty: "",
  words: ["a", "b"],
  list: [1, 2],
  floats: Float32Array.of(0.5),
  longs: BigInt64Array.of(3n, -4n),
  hugeLongs: BigUint64Array.of(2n ** 60n),
  mixed: ["a", 1],
  none: [],
});

describe("metadata", () => {
  test("gives values of the type that is asked for", () => {
    expect(metadata.number("count")).toBe(7);
    expect(metadata.string("name")).toBe("llama");
    expect(metadata.boolean("on")).toBe(true);
    expect(metadata.strings("words")).toEqual(["a", "b"]);
    expect(metadata.numbers("list")).toEqual([1, 2]);
    expect(metadata.numbers("floats")).toEqual(Float32Array.of(0.5));
    expect([...metadata.numbers("longs")]).toEqual([3, -4]);
    expect(metadata.strings("none")).toEqual([]);
    expect(metadata.numbers("none")).toEqual([]);
    expect(metadata.get("huge")).toBe(2n ** 60n);
    expect(metadata.has("name")).toBe(true);
    expect(metadata.has("toString")).toBe(false);
    expect([...metadata.keys()]).toHaveLength(metadata.size);
  });

  test("zero, false and the empty string are values, not gaps", () => {
    expect(metadata.number("zero")).toBe(0);
    expect(metadata.boolean("off")).toBe(false);
    expect(metadata.string("empty")).toBe("");
    expect(metadata.optionalNumber("zero", 5)).toBe(0);
    expect(metadata.optionalBoolean("off", true)).toBe(false);
    expect(metadata.optionalString("empty", "x")).toBe("");
  });

  test("optional getters give the fallback, or undefined", () => {
    expect(metadata.optionalNumber("absent")).toBeUndefined();
    expect(metadata.optionalNumber("absent", 5)).toBe(5);
    expect(metadata.optionalString("absent", "x")).toBe("x");
    expect(metadata.optionalBoolean("absent", true)).toBe(true);
    expect(metadata.optionalStrings("absent")).toBeUndefined();
    expect(metadata.optionalNumbers("absent")).toBeUndefined();
  });

  test.each([
    ["number", "absent", 'no metadata "absent"; expected a number'],
    ["string", "absent", 'no metadata "absent"; expected a string'],
    ["boolean", "absent", "expected true or false"],
    ["strings", "absent", "expected an array of strings"],
    ["numbers", "absent", "expected an array of numbers"],
    ["number", "name", 'metadata "name" is the string "llama"; expected a number'],
    ["number", "huge", "the number 1152921504606846976; expected one of at most 2^53"],
    ["number", "infinite", "expected a finite one"],
    ["string", "count", "the number 7; expected a string"],
    ["boolean", "count", "expected true or false"],
    ["strings", "list", "an array of 2 numbers; expected an array of strings"],
    ["strings", "mixed", "expected an array of strings"],
    ["strings", "floats", "an array of 1 numbers"],
    ["numbers", "words", "an array of 2 strings; expected an array of numbers"],
    ["numbers", "mixed", "expected an array of numbers"],
    ["numbers", "name", "expected an array of numbers"],
    ["numbers", "hugeLongs", "1152921504606846976 in it; expected numbers of at most 2^53"],
  ] as const)("%s(%s) is refused: %s", (getter, key, message) => {
    expect(() => metadata[getter](key)).toThrow(message);
  });
});
