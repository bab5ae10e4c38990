import type { StepLimits } from "./plan.ts";
import type { Buffer, Step, Steps, View } from "./steps.ts";
import { f32RowBytes, q8RowBytes } from "./tape.ts";

/** Where a buffer's first column lies, and the bytes from one row to the next. */
export interface Place {
  readonly offset: number;
  readonly stride: number;
}

export interface Layout {
  readonly places: ReadonlyMap<Buffer, Place>;
  readonly arenaBytes: number;
}

/** Memory of buffers that share it: the one allocated, and those that take over some of its columns. */
interface Block {
  readonly bytes: number;
  readonly stride: number;
  readonly from: number;
  to: number;
  offset: number;
}

/**
 * Gives every buffer its place in the arena.
 *
 * A step that may write over what it reads (rotary, head norms, sums) does so where no later step
 * reads those columns. Blocks whose lifetimes do not meet share memory: each goes to the lowest gap
 * that is free for all of its life.
 */
export function layOut({ steps, logits }: Steps, limits: StepLimits): Layout {
  const lastRead = lastReads(steps, logits);
  const home = new Map<Buffer, { block: Block; startBytes: number }>();
  const blocks: Block[] = [];
  steps.forEach((step, at) => {
    if (step.out.width === 0) return;
    const over = overwritable(step).find((view) => {
      const sameRows =
        view.buffer.rows === step.out.rows && view.buffer.form === "f32" && step.out.form === "f32";
      if (!sameRows || view.width !== step.out.width || lastRead(view) > at) return false;
      // A product reads all of its input's row for each value it writes; never over its own input.
      return step.op !== "linear" || home.get(step.inputs[0].buffer)?.block !== home.get(view.buffer)?.block;
    });
    if (over) {
      const { block, startBytes } = home.get(over.buffer)!;
      home.set(step.out, { block, startBytes: startBytes + over.start * 4 });
    } else {
      const rows = step.out.rows === "tokens" ? limits.tokens : limits.wanted;
      const { stride, bytes } = size(step, rows);
      const block: Block = { bytes, stride, from: at, to: at, offset: -1 };
      blocks.push(block);
      home.set(step.out, { block, startBytes: 0 });
    }
    const { block } = home.get(step.out)!;
    block.to = Math.max(block.to, at, lastRead(step.out.whole()));
  });

  let arenaBytes = 64;
  for (const block of blocks) {
    const others = blocks.filter((b) => b.offset >= 0 && b.from <= block.to && block.from <= b.to);
    others.sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const other of others) {
      if (offset + block.bytes <= other.offset) break;
      offset = Math.max(offset, other.offset + other.bytes);
    }
    block.offset = offset;
    arenaBytes = Math.max(arenaBytes, offset + block.bytes);
  }
  const places = new Map<Buffer, Place>();
  for (const [buffer, { block, startBytes }] of home) {
    places.set(buffer, { offset: block.offset + startBytes, stride: block.stride });
  }
  return { places, arenaBytes };
}

function size(step: Step, rows: number): { stride: number; bytes: number } {
  const { out } = step;
  // Steps with several rows per token write them as so many narrower rows, without gaps.
  const repeat = rowsPerToken(step);
  const width = out.width / repeat;
  const one = out.form === "q8" ? q8RowBytes(width) : repeat > 1 ? width * 4 : f32RowBytes(width);
  const stride = one * repeat;
  return { stride, bytes: Math.ceil((stride * rows) / 64) * 64 };
}

/** How many rows of its own a step writes for each token: one for each expert used, else one. */
export function rowsPerToken(step: Step): number {
  switch (step.op) {
    case "gated":
    case "activate":
    case "quantize":
      return step.repeat;
    case "expertLinear":
      return step.used;
    default:
      return 1;
  }
}

function overwritable(step: Step): readonly View[] {
  switch (step.op) {
    case "rope":
    case "rmsNorm":
    case "softcap":
      return step.inputs.slice(0, 1);
    case "add":
      return step.inputs;
    case "linear":
      return step.residual ? step.inputs.slice(1, 2) : [];
    default:
      return [];
  }
}

/** The index of the last step that reads any of a view's columns. */
function lastReads(steps: readonly Step[], logits: View): (view: View) => number {
  const reads = new Map<Buffer, { view: View; at: number }[]>();
  const note = (view: View, at: number) => {
    const list = reads.get(view.buffer);
    if (list) list.push({ view, at });
    else reads.set(view.buffer, [{ view, at }]);
  };
  steps.forEach((step, at) => {
    for (const view of step.inputs) note(view, at);
  });
  note(logits, steps.length);
  return (view) => {
    let last = -1;
    for (const read of reads.get(view.buffer) ?? []) {
      const apart =
        read.view.start + read.view.width <= view.start || view.start + view.width <= read.view.start;
      if (!apart) last = Math.max(last, read.at);
    }
    return last;
  };
}
