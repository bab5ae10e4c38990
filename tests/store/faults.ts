import type { Fault, Stage } from "./hub-server.ts";

/** A fault, one of those that may happen to such a request. */
export function drawnFault(random: () => number, stage: Stage, size: number): Fault | undefined {
  const upTo = (most: number) => Math.floor(random() * most);
  const status = [401, 403, 404, 408, 416, 429, 500, 502, 503][upTo(9)];
  const anywhere: Fault[] = [
    { kind: "status", status, retryAfter: random() < 0.5 ? "0" : undefined },
    { kind: "reset" },
  ];
  const body: Fault[] = [
    { kind: "cut", after: upTo(size) },
    { kind: "cut", after: upTo(size) },
    { kind: "whole" },
    { kind: "flip", at: upTo(size) },
    { kind: "length", by: 1 + upTo(100) },
    { kind: "length", by: -1 - upTo(100) },
    { kind: "range", by: 1 },
    { kind: "stall", after: upTo(size) },
    { kind: "trickle" },
  ];
  const kinds = stage === "bytes" ? [...anywhere, ...body] : anywhere;
  return kinds[upTo(kinds.length)];
}
