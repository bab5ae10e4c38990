import type { ClavisError } from "../errors.ts";
import type { Patience } from "./retry.ts";
import type { Settings } from "./settings.ts";

/** What happens during a pull; all bytes are of the whole model unless a file is named. */
export type PullEvent =
  /** A model was chosen because the name left it open. */
  | {
      readonly type: "chosen";
      readonly repo: string;
      readonly quant?: string;
      readonly files: readonly string[];
    }
  /** A file is there already. */
  | { readonly type: "found"; readonly file: string; readonly path: string }
  /** A file that was there is not what its digest says, and is downloaded again. */
  | { readonly type: "damaged"; readonly file: string }
  /** Another process downloads the same file; its progress is shown. */
  | { readonly type: "waiting"; readonly file: string; readonly pid?: number }
  | { readonly type: "resumed"; readonly file: string; readonly doneBytes: number }
  | { readonly type: "retry"; readonly file: string; readonly error: ClavisError; readonly waitMs: number }
  | { readonly type: "progress"; readonly doneBytes: number; readonly allBytes: number }
  /** The digest of a file that was there is computed. */
  | {
      readonly type: "checking";
      readonly file: string;
      readonly doneBytes: number;
      readonly allBytes: number;
    }
  | { readonly type: "done"; readonly file: string; readonly path: string; readonly sha256?: string };

/** What callers choose. Where models come from and go to, the environment says. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: PullEvent) => void;
  /** Compute the digests of files that are there, even if they were checked before. */
  readonly verify?: boolean;
}

export interface StoreOptions extends CallOptions {
  /** Default: what the environment says. */
  readonly settings?: Settings;
  readonly patience?: Patience;
  /** Connections at a time. Default 4. */
  readonly connections?: number;
  /** Bytes that one request asks for. Default 32 MiB. */
  readonly partBytes?: number;
}

/** A model that a pull brought, or found. */
export interface Pulled {
  readonly name: string;
  /** Of its file, or of the first part of a split one. */
  readonly path: string;
  readonly paths: readonly string[];
  /** Bytes of all files. */
  readonly bytes: number;
  /** Bytes that came over the network now. */
  readonly downloadedBytes: number;
  /** Upper case, where the name of the file tells it. */
  readonly quant?: string;
}
