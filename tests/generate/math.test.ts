import { expect, test } from "vitest";
import { exp } from "../../src/devices/reference/math.ts";
import { log } from "../../src/generate/math.ts";

const floats = new Float32Array(1);
const words = new Uint32Array(floats.buffer);

/** Every `step`th f32 there is. */
function* everyFloat(step: number): Generator<number> {
  for (let word = 0; word < 2 ** 32; word += step) {
    words[0] = word;
    yield floats[0];
  }
}

test("exp is within 2 ulp of the true value", () => {
  for (let x = -87; x < 88; x += 0.0371) {
    const f = Math.fround(x);
    const exact = Math.exp(f);
    expect(Math.abs(exp(f) - exact)).toBeLessThan(exact * 2 ** -22);
  }
});

test("log agrees with Math.log over all magnitudes of f32, subnormals included", () => {
  let worst = 0;
  for (const x of everyFloat(39_989)) {
    if (!(x > 0 && x < Infinity)) continue;
    const exact = Math.log(x);
    const apart = Math.abs(log(x) - exact) / Math.max(1e-7, Math.abs(exact));
    if (apart > worst) worst = apart;
  }
  expect(worst).toBeLessThan(4e-16);
});

test("log near 1, at 0, below 0 and at the infinities", () => {
  for (const ulps of [1, 2, 3, 10, 1000]) {
    words[0] = 0x3f800000 + ulps;
    expect(Math.abs(log(floats[0]) / Math.log(floats[0]) - 1)).toBeLessThan(1e-15);
    words[0] = 0x3f800000 - ulps;
    expect(Math.abs(log(floats[0]) / Math.log(floats[0]) - 1)).toBeLessThan(1e-15);
  }
  expect(log(1)).toBe(0);
  expect(log(0)).toBe(-Infinity);
  expect(log(Infinity)).toBe(Infinity);
  expect(log(-1)).toBeNaN();
  expect(log(-Infinity)).toBeNaN();
  expect(log(Number.NaN)).toBeNaN();
});
