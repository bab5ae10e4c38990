import type { Addon, NativeProgram } from "./addon.ts";

/** What weights are loaded into, and how. */
export interface Loading {
  readonly addon: Addon;
  readonly program: NativeProgram;
  /** Rows that lie interleaved once packed. */
  readonly group: number;
  readonly threads: number;
}
