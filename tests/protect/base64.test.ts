import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBase64 } from "../../src/protect/base64.ts";
import { refusesInWords } from "./files.ts";

describe("base64", () => {
  test("gives back what Node encoded", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeBase64(Buffer.from(bytes).toString("base64"), "x")).toEqual(bytes);
      }),
    );
  });

  test.each([
    ["Zg=", "length"],
    ["Zg", "length"],
    ["Zm9v\n", "length"],
    ["Zm9-", "character 4"],
    ["Z===", "character 2"],
    ["Zm8=Zm8=", "character 4"],
    ["é===", "character"],
    ["Zh==", "unused bits"],
    ["Zm9=", "unused bits"],
  ])("refuses %j", (text, reason) => {
    expect(() => decodeBase64(text, "x")).toThrow(reason);
  });

  test("any text is decoded or refused, and only one text stands for some bytes", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."AQgw+/=-é \n") }));
    fc.assert(
      fc.property(text, (text) => {
        refusesInWords(() => expect(Buffer.from(decodeBase64(text, "x")).toString("base64")).toBe(text));
      }),
      { numRuns: 1000 },
    );
  });
});
