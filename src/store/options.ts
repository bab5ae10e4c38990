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
  /** In a page that asked for it: whether the browser keeps what is stored. */
  | { readonly type: "persistence"; readonly granted: boolean }
  /** In a page without a place for files: the model is read where it is, and nothing is kept. */
  | { readonly type: "notStored"; readonly error: ClavisError }
  | { readonly type: "done"; readonly file: string; readonly path: string; readonly sha256?: string };

/** What callers choose. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: PullEvent) => void;
  /** Compute the digests of files that are there, even if they were checked before. */
  readonly verify?: boolean;
}

/** Where models come from. */
export interface HubOptions {
  /** Another hub, or a mirror. Default: in Node what HF_ENDPOINT says, in a page https://huggingface.co. */
  readonly endpoint?: string | URL;
  /** Sent to the host of `endpoint` and to no other. Default: in Node what HF_TOKEN says, in a page none. */
  readonly token?: string;
  /**
   * In a page: ask the browser to keep what is stored when it runs short of space. It may ask the user; what was
   * decided is told as an event. Default false.
   */
  readonly persist?: boolean;
}

export interface StoreOptions extends CallOptions, HubOptions {
  /** In Node; default: what the environment says. */
  readonly settings?: Settings;
  /** In Node: pull nothing that has no signature on the hub. Whether one is good, loading and `verify` say. */
  readonly requireSignature?: boolean;
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
  /** Its signatures, where its repository on the hub has some; without the network none are looked for. */
  readonly signatures: readonly string[];
  /** Bytes of all files, signatures too. */
  readonly bytes: number;
  /** Bytes that came over the network now. */
  readonly downloadedBytes: number;
  /** Upper case, where the name of the file tells it. */
  readonly quant?: string;
}

/** A model on this machine. */
export interface ListedModel {
  /** A name that loads it. */
  readonly name: string;
  readonly from: "hub" | "url" | "package";
  /** Of its file, or of the first part of a split one. */
  readonly path: string;
  /** Bytes of all its files. */
  readonly bytes: number;
  /** Upper case, where the file's name tells it. */
  readonly quant?: string;
  /** As the file says; undefined where it cannot be read as a model. */
  readonly architecture?: string;
  readonly licence?: string;
  /** When Clavis last used it, in milliseconds since 1970; undefined where it never did. */
  readonly usedAt?: number;
  /** Of the hub: owner/name, and the commit that the file is from. */
  readonly repo?: string;
  readonly commit?: string;
  readonly url?: string;
}

export interface Removed {
  /** Names of the models that are gone. */
  readonly models: readonly string[];
  /** Bytes of disk; nothing for what another model or revision still needs. */
  readonly freedBytes: number;
}

/** A model that is on this machine. */
export interface LocalModel {
  readonly name: string;
  /** Of the model's file, or of the first part of a split one; the others lie beside it. */
  readonly path: string;
  /** Of all its files, in order. */
  readonly paths: readonly string[];
}

/** How the header of a model is read. */
export interface InspectOptions extends HubOptions {
  /** Read the header of a model that is not here over the network, from where it is. Default false. */
  readonly remote?: boolean;
  readonly onPull?: (event: PullEvent) => void;
  readonly signal?: AbortSignal;
}
