import { describe, expect, test } from "vitest";
import type { Batch } from "../../src/devices/device.ts";
import { functionOf, ropeStyle } from "../../src/plan/tape.ts";
import { allDevices, expectSameBits, noise, SmallTape, stepOf, values } from "./small-tape.ts";

// Every operation of the tape but matmul and attention, on every device against the reference, by bits.

/** Around whole vectors of 4 and groups of 16 lanes. */
const widths = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 19, 31, 32, 33, 63, 64, 65, 100, 259];
const q8Widths = [32, 64, 96, 160, 320];
const rows = [1, 2, 3, 4, 5, 6, 7, 8, 9];

describe("by width", () => {
  test.each(widths)("embed, addPosition, add: %i values", async (n) => {
    const tape = new SmallTape(5);
    const a = tape.region(n);
    tape.call("embed", { out: a }, { weight: tape.f32Matrix(9, n, values(9 * n, n)), n, scaleBits: 1.7 });
    const b = tape.region(n);
    tape.call("addPosition", { out: b, a }, { weight: tape.f32Matrix(40, n, values(40 * n, n + 1)), n });
    const out = tape.region(n);
    tape.call("add", { out, a, b }, { n });
    await expectSameBits(tape.plan(out), [stepOf(5, 30)]);
  });

  test.each(widths)("rmsNorm in 3 groups, in place and apart: %i values", async (n) => {
    const tape = new SmallTape(3);
    const a = tape.input(3 * n, values(3 * 3 * n, n));
    const weight = tape.vector(values(n, n + 7));
    const out = tape.region(3 * n);
    tape.call("rmsNorm", { out, a }, { weight, n, groups: 3, form: 0, epsBits: 1e-6 });
    tape.call("rmsNorm", { out, a: out }, { weight, n, groups: 3, form: 0, epsBits: 1e-5 });
    await expectSameBits(tape.plan(out), [stepOf(3)]);
  });

  test.each(widths)("layerNorm: %i values", async (n) => {
    const tape = new SmallTape(3);
    const a = tape.input(n, values(3 * n, n, 20));
    const [weight, bias] = [tape.vector(values(n, n + 7)), tape.vector(values(n, n + 8))];
    const out = tape.region(n);
    tape.call("layerNorm", { out, a }, { weight, n, bias, form: 0, epsBits: 1e-5 });
    await expectSameBits(tape.plan(out), [stepOf(3)]);
  });

  test.each(widths)("gated, activate, softcap: %i values", async (n) => {
    for (const f of [functionOf.silu, functionOf.gelu]) {
      const tape = new SmallTape(3);
      const a = tape.input(n, values(3 * n, n, 9));
      const b = tape.input(n, values(3 * n, n + 1));
      const gated = tape.region(n);
      tape.call("gated", { out: gated, a, b }, { n, function: f, form: 0, repeat: 1 });
      const active = tape.region(n);
      tape.call("activate", { out: active, a }, { n, function: f, form: 0, repeat: 1 });
      const sum = tape.region(n);
      tape.call("add", { out: sum, a: gated, b: active }, { n });
      const out = tape.region(n);
      tape.call("softcap", { out, a: sum }, { n, capBits: 30 });
      await expectSameBits(tape.plan(out), [stepOf(3)]);
    }
  });

  test.each(widths)("gatherRows, some rows wanted: %i values", async (n) => {
    const tape = new SmallTape(6);
    const a = tape.input(n, values(6 * n, n));
    const out = tape.region(n);
    tape.call("gatherRows", { out, a, rows: 1 }, { n });
    const some: Batch = { ...stepOf(6), wanted: Int32Array.of(0, 3, 5) };
    const none: Batch = { ...stepOf(2), wanted: new Int32Array(0) };
    await expectSameBits(tape.plan(out), [some, none, stepOf(6)]);
  });

  test.each(q8Widths)("quantised: %i values", async (n) => {
    for (const make of ["quantize", "rmsNorm", "layerNorm", "gated", "activate"] as const) {
      const tape = new SmallTape(3);
      const a = tape.input(n, values(3 * n, n, 5));
      const b = tape.input(n, values(3 * n, n + 2, 5));
      const [weight, bias] = [tape.vector(values(n, n + 7)), tape.vector(values(n, n + 8))];
      const out = tape.region(n, "q8");
      const norm = { weight, n, form: 1, epsBits: 1e-5 };
      if (make === "quantize") tape.call(make, { out, a }, { n, repeat: 1 });
      if (make === "rmsNorm") tape.call(make, { out, a }, { ...norm, groups: 1 });
      if (make === "layerNorm") tape.call(make, { out, a }, { ...norm, bias });
      if (make === "gated") tape.call(make, { out, a, b }, { n, function: 0, form: 1, repeat: 1 });
      if (make === "activate") tape.call(make, { out, a }, { n, function: 1, form: 1, repeat: 1 });
      await expectSameBits(tape.plan(tape.shown(out)), [stepOf(3)]);
    }
  });
});

describe("functions", () => {
  /** Every exponent, both signs, and the neighbourhood of the limits of exp. */
  const inputs = Float32Array.from([
    ...Array.from({ length: 512 }, (_, i) => (i % 2 ? -1 : 1) * 1.37 * 2 ** ((i >> 1) - 140)),
    ...Array.from({ length: 64 }, (_, i) => 88.72283 + (i - 32) * 2 ** -17),
    ...Array.from({ length: 64 }, (_, i) => -87.33654 + (i - 32) * 2 ** -17),
    ...Array.from({ length: 1000 }, (_, i) => (i - 500) / 7),
    ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 0, -0],
  ]);

  test.each([
    ["silu", functionOf.silu],
    ["gelu", functionOf.gelu],
  ] as const)("%s over all exponents", async (_name, f) => {
    const n = inputs.length;
    const tape = new SmallTape(1);
    const a = tape.input(n, inputs);
    const out = tape.region(n);
    tape.call("activate", { out, a }, { n, function: f, form: 0, repeat: 1 });
    await expectSameBits(tape.plan(out), [stepOf(1)]);
  });

  test("softcap over all exponents, in more than one chunk", async () => {
    const n = 20_003;
    const data = Float32Array.from({ length: n }, (_, i) => inputs[i % inputs.length]);
    const tape = new SmallTape(1);
    const a = tape.input(n, data);
    const out = tape.region(n);
    tape.call("softcap", { out, a }, { n, capBits: 50 });
    await expectSameBits(tape.plan(out), [stepOf(1)]);
  });

  test("quantize: blocks of zeros, tiny, huge, infinite and NaN values", async () => {
    const special = [0, 1e-31, 1e-30, 1e-38, 3e38, Number.POSITIVE_INFINITY, Number.NaN, 0.5];
    const data = values(32 * special.length, 3);
    special.forEach((value, block) => {
      if (value < 1e-20) data.fill(0, block * 32, block * 32 + 32);
      data[block * 32 + 9] = value;
    });
    for (let block = 0; block < special.length; block++) {
      const tape = new SmallTape(1);
      const a = tape.input(32, data.slice(block * 32, block * 32 + 32));
      const out = tape.region(32, "q8");
      tape.call("quantize", { out, a }, { n: 32, repeat: 1 });
      await expectSameBits(tape.plan(tape.shown(out)), [stepOf(1)]);
    }
  });
});

describe("rows of one kind", () => {
  const alternating = (size: number) => (i: number) => (i % 2 ? -size : size);
  const kinds: Readonly<Record<string, (i: number) => number>> = {
    "zeros of both signs": (i) => (i % 3 ? 0 : -0),
    "the least denormals": (i) => ((i % 5) - 2) * 2 ** -149,
    denormals: (i) => ((i % 7) - 3) * 2 ** -130,
    "around the least normal number": (i) => (1 + (i % 5) / 4) * 2 ** (-127 + (i % 3)),
    "all equal": () => 1.5,
    "all equal, negative": () => -0.3,
    "alternating in sign": alternating(1.5),
    "huge, whose squares are not": alternating(1e18),
    "huge, whose squares overflow": alternating(1e30),
    "the largest": alternating(3.4028234663852886e38),
    "one among zeros": (i) => (i === 3 ? 700 : 0),
  };

  test.each(Object.keys(kinds))("%s", async (name) => {
    const n = 96;
    const data = Float32Array.from({ length: 2 * n }, (_, i) => kinds[name](i));
    const weight = values(n, 5);
    for (const [op, words] of [
      ["add", { n }],
      ["softcap", { n, capBits: 30 }],
      ["rmsNorm", { weight, n, groups: 1, form: 0, epsBits: 1e-6 }],
      ["layerNorm", { weight, n, bias: weight, form: 0, epsBits: 1e-5 }],
      ["gated", { n, function: functionOf.silu, form: 0, repeat: 1 }],
      ["gated", { n, function: functionOf.gelu, form: 0, repeat: 1 }],
      ["quantize", { n, repeat: 1 }],
      ["rmsNorm", { weight, n, groups: 1, form: 1, epsBits: 1e-6 }],
      ["gated", { n, function: functionOf.silu, form: 1, repeat: 1 }],
    ] as const) {
      const tape = new SmallTape(2);
      const a = tape.input(n, data);
      const form = op === "quantize" || ("form" in words && words.form === 1) ? "q8" : "f32";
      const out = tape.region(n, form);
      const vectors = Object.entries(words).map(([word, value]) => [
        word,
        typeof value === "number" ? value : tape.vector(value),
      ]);
      const two = op === "add" || op === "gated";
      tape.call(op, { out, a, ...(two && { b: a }) }, Object.fromEntries(vectors));
      await expectSameBits(tape.plan(form === "q8" ? tape.shown(out) : out), [stepOf(2)]);
    }
  });
});

describe("rotary", () => {
  test.each([1, 2, 3, 4, 5, 8, 9, 32, 33])("%i pairs, both styles, in place and apart", async (pairs) => {
    for (const style of [ropeStyle.adjacent, ropeStyle.halves]) {
      for (const rest of [0, 3]) {
        const [n, heads] = [pairs * 2 + rest, 3];
        const tape = new SmallTape(4);
        const table = tape.region(pairs * 2);
        const frequencies = Float64Array.from({ length: pairs }, (_, i) => 10000 ** (-i / pairs));
        const weight = tape.frequencies(frequencies);
        tape.call("ropeTable", { out: table }, { weight, n: pairs * 2, magnitudeBits: 1.19 });
        const a = tape.input(n * heads, values(4 * n * heads, pairs));
        const out = tape.region(n * heads);
        const words = { n, heads, rotated: pairs * 2, style };
        tape.call("rope", { out, a, b: table }, words);
        tape.call("rope", { out, a: out, b: table }, words);
        await expectSameBits(tape.plan(out, {}, 1, 8), [stepOf(4, 200)]);
      }
    }
  });

  test("angles of positions up to a million", async () => {
    const pairs = 40;
    const tape = new SmallTape(64);
    const out = tape.region(pairs * 2);
    const weight = tape.frequencies(Float64Array.from({ length: pairs }, (_, i) => 500000 ** (-i / pairs)));
    tape.call("ropeTable", { out }, { weight, n: pairs * 2, magnitudeBits: 1 });
    const positions = Int32Array.from({ length: 64 }, (_, t) => t + Math.floor(1.245 ** t));
    const step = { ...stepOf(64), positions, pageTables: [new Int32Array(40_000)] };
    await expectSameBits(tape.plan(out, {}, 1, 40_000), [step]);
  });
});

describe("experts", () => {
  test.each([
    { experts: 3, used: 1, normalize: 0, shared: 1, k: 32, n: 5, count: 1 },
    { experts: 5, used: 2, normalize: 1, shared: 1, k: 64, n: 33, count: 4 },
    { experts: 8, used: 3, normalize: 1, shared: 0, k: 96, n: 20, count: 9 },
    { experts: 17, used: 17, normalize: 0, shared: 0, k: 32, n: 7, count: 3 },
    { experts: 2, used: 2, normalize: 1, shared: 1, k: 32, n: 130, count: 40 },
    { experts: 128, used: 8, normalize: 1, shared: 1, k: 64, n: 300, count: 2 },
    { experts: 3, used: 1, normalize: 0, shared: 0, k: 64, n: 300, count: 200 },
    { experts: 40, used: 2, normalize: 1, shared: 0, k: 32, n: 257, count: 70 },
  ])("route, expertMatmul, expertSum: $used of $experts for $count tokens", async (shape) => {
    const { experts, used, normalize, shared, k, n, count } = shape;
    for (const integer of [false, true]) {
      const tape = new SmallTape(count * used);
      const router = values(count * experts, experts);
      // Equal logits: the lower id goes first.
      if (experts > 4) router[2] = router[1];
      const logits = tape.input(experts, router);
      const routes = tape.region(2 * used);
      tape.call("route", { out: routes, a: logits }, { n: experts, used, normalize });
      // Inputs per token, or one per expert used: `used` rows side by side.
      const repeat = shared ? 1 : used;
      const wide = tape.input(k * repeat, values(count * k * repeat, 5));
      const a = { offset: wide.offset, stride: wide.stride / repeat, width: k };
      const q8 = tape.region(k, "q8");
      if (integer) tape.call("quantize", { out: q8, a }, { n: k, repeat });
      const data = values(experts * n * k, 9);
      const weight = integer ? tape.q8Matrix(n, k, 4, experts) : tape.f32Matrix(n, k, data, experts);
      const products = tape.region(n);
      const words = { weight, n, k, used, shared };
      tape.call("expertMatmul", { out: products, a: integer ? q8 : a, b: routes }, words);
      const out = tape.region(n);
      tape.call("expertSum", { out, a: products, b: routes }, { n, used });
      const devices = count === 9 ? allDevices : undefined;
      await expectSameBits(tape.plan(out), [stepOf(count)], devices);
      await expectSameBits(tape.plan(products), [stepOf(count)], devices);
      await expectSameBits(tape.plan(routes), [stepOf(count)]);
    }
  });

  test("for wanted rows only: what other tokens once left is not taken for theirs", async () => {
    const [experts, used, k, n, tokens] = [4, 2, 32, 24, 40];
    const tape = new SmallTape(tokens);
    const router = tape.input(experts, values(tokens * experts, 3));
    const inputs = tape.input(k, values(tokens * k, 5));
    const logits = tape.region(experts, "f32", 2);
    const a = tape.region(k, "f32", 2);
    // Where the routes and products of two rows end, something lies that a third row's would overwrite.
    const routes = tape.region(2 * used, "f32", 2);
    const beyond = tape.input(2 * used, values(tokens * 2 * used, 7));
    const products = tape.region(n, "f32", 2 * used);
    const kept = tape.input(n, values(tokens * n, 6));
    const out = tape.region(n, "f32", 2);
    const shown = tape.region(n, "f32", 2);
    tape.call("gatherRows", { out: logits, a: router, rows: 1 }, { n: experts });
    tape.call("gatherRows", { out: a, a: inputs, rows: 1 }, { n: k });
    tape.call("route", { out: routes, a: logits, rows: 1 }, { n: experts, used, normalize: 1 });
    const weight = tape.f32Matrix(n, k, values(experts * n * k, 9), experts);
    const words = { weight, n, k, used, shared: 1 };
    tape.call("expertMatmul", { out: products, a, b: routes, rows: 1 }, words);
    tape.call("expertSum", { out, a: products, b: routes, rows: 1 }, { n, used });
    tape.call("gatherRows", { out: shown, a: kept, rows: 1 }, { n });
    tape.call("add", { out: shown, a: shown, b: out, rows: 1 }, { n });
    expect(beyond.offset).toBeGreaterThan(routes.offset);
    const step = { ...stepOf(tokens), wanted: Int32Array.of(7, 30) };
    await expectSameBits(tape.plan(shown), [step, step]);
    await expectSameBits(tape.plan(kept), [{ ...step, wanted: Int32Array.of(0, 1) }]);
  });
});

describe("matmul inside a tape", () => {
  test.each(rows)("bias and residual, in place, %i rows", async (count) => {
    const [n, k] = [77, 96];
    const tape = new SmallTape(9);
    const x = tape.input(k, values(9 * k, 1));
    const a = tape.region(k, "q8");
    tape.call("quantize", { out: a, a: x }, { n: k, repeat: 1 });
    const residual = tape.input(n, values(9 * n, 2));
    const weight = tape.q8Matrix(n, k, 3);
    const out = residual; // as the planner does: the product is added to what is there
    const bias = tape.vector(values(n, 4));
    tape.call("matmul", { out, a, b: residual }, { weight, n, k, bias });
    const again = tape.region(n);
    tape.call("matmul", { out: again, a, b: out }, { weight, n, k, bias: -1 });
    const devices = count === 9 ? allDevices : undefined;
    await expectSameBits(tape.plan(again), [stepOf(count)], devices);
  });
});

test("many calls with several chunks: threads meet at every barrier", async () => {
  const n = 1000;
  const next = noise(8);
  const tape = new SmallTape(64);
  let x = tape.input(n, values(64 * n, 1));
  const weight = tape.vector(values(n, 6).map((v) => v + 1));
  for (let i = 0; i < 60; i++) {
    const y = tape.region(n);
    if (next() > 0) tape.call("rmsNorm", { out: y, a: x }, { weight, n, groups: 1, form: 0, epsBits: 1e-5 });
    else tape.call("add", { out: y, a: x, b: x }, { n });
    x = y;
  }
  await expectSameBits(tape.plan(x), [stepOf(64), stepOf(1), stepOf(9)], allDevices);
  expect(x.width).toBe(n);
});
