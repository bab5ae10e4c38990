import type { PullEvent } from "../index.ts";
import { bytes, milliseconds, visible } from "./format.ts";
import { note } from "./output.ts";

const barMs = 100;
const lineMs = 5000;
/** The time over which speed is averaged. */
const windowMs = 5000;

/** Says on stderr how a download goes: a bar on a terminal, elsewhere a line now and then. */
export class PullDisplay {
  readonly #isTerminal = process.stderr.isTTY === true;
  /** Times and bytes of the last seconds. */
  #points: { ms: number; done: number }[] = [];
  #shownMs = performance.now();
  #hasBar = false;

  show(event: PullEvent): void {
    if (event.type === "progress" || event.type === "checking") {
      this.#progress(event.doneBytes, event.allBytes, event.type === "checking" ? "checking " : "");
      return;
    }
    this.end();
    this.#points = [];
    const text = lineOf(event);
    if (text !== undefined) note(visible(text));
  }

  /** Removes the bar. */
  end(): void {
    if (this.#hasBar) process.stderr.write("\r\u001b[K");
    this.#hasBar = false;
  }

  #progress(done: number, all: number, what: string): void {
    const ms = performance.now();
    if (this.#points.length > 0 && done < this.#points[this.#points.length - 1].done) this.#points = [];
    if (this.#points.length === 0 || ms - this.#points[this.#points.length - 1].ms >= barMs)
      this.#points.push({ ms, done });
    while (this.#points.length > 2 && ms - this.#points[0].ms > windowMs) this.#points.shift();
    if (ms - this.#shownMs < (this.#isTerminal ? barMs : lineMs) || all === 0) return;
    this.#shownMs = ms;
    const [first] = this.#points;
    const state = { what, done, all, perMs: (done - first.done) / (ms - first.ms) };
    if (!this.#isTerminal) {
      note(figures(state).join(", "));
      return;
    }
    this.#hasBar = true;
    const columns = process.stderr.columns || 80; // some terminals say 0
    process.stderr.write(`\r\u001b[K${progressLine(state, columns)}`);
  }
}

interface ProgressState {
  /** Put in front: what is done, where it is no download. */
  readonly what: string;
  readonly done: number;
  readonly all: number;
  /** Bytes per millisecond; not above 0 where it is not known. */
  readonly perMs: number;
}

/** Columns left free at the end, so that a typed ^C stays on the line and goes away with it. */
const margin = 3;
const [shortestBar, longestBar] = [8, 40];

/** A bar and as many figures as a terminal's line has room for, the most telling first. */
export function progressLine(state: ProgressState, columns: number): string {
  const room = columns - margin;
  const parts = figures(state);
  while (parts.length > 1 && parts.join(", ").length > room) parts.pop();
  const text = parts.join(", ").slice(0, Math.max(room, 0));
  const length = Math.min(longestBar, room - text.length - "[] ".length);
  if (length < shortestBar) return text;
  return `[${"=".repeat(Math.floor((state.done / state.all) * length)).padEnd(length)}] ${text}`;
}

function figures({ what, done, all, perMs }: ProgressState): string[] {
  const share = `${what}${Math.floor((done / all) * 100)} %`;
  const parts = [share, `${bytes(done)} of ${bytes(all)}`];
  if (perMs > 0 && Number.isFinite(perMs))
    parts.push(`${bytes(Math.round(perMs * 1000))}/s`, `${duration((all - done) / perMs)} left`);
  return parts;
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function lineOf(event: Exclude<PullEvent, { type: "progress" | "checking" }>): string | undefined {
  switch (event.type) {
    case "chosen":
      return `${event.repo} has several models; taking ${event.quant ?? event.files[0]}`;
    case "waiting":
      return `${event.file} is being downloaded by another process${event.pid ? ` (${event.pid})` : ""}; waiting for it`;
    case "resumed":
      return `${event.file}: going on after ${bytes(event.doneBytes)}`;
    case "damaged":
      return `${event.file} is here, but is not what the hub has; downloading it again`;
    case "retry":
      return `${event.file}: ${event.error.found}; trying again in ${milliseconds(event.waitMs)}`;
    case "done":
      return `${event.file}: downloaded${event.sha256 ? `, sha256 ${event.sha256}` : ""}`;
    case "found":
      return undefined;
  }
}
