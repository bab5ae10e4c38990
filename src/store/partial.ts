// What a download is written to until it is whole, on a disk or in a browser's own file system.

/** A file that has its whole length from the beginning, and what is known of how far it came. */
export interface PartialFile {
  /** For messages: its path. */
  readonly shown: string;
  /**
   * Opens it for reading and writing with this length, empty unless what is there is to be kept.
   *
   * @throws ClavisError `pull.space`, `pull.write`, as everything that writes here
   */
  open(size: number, keep: boolean): Promise<PartialHandle>;
  /** What was left by an earlier run; nothing where there is none, or nothing that can be read. */
  saved(): Promise<SavedPartial | undefined>;
  /** Replaces what was saved, in one step even if the process is killed meanwhile. */
  save(state: object): Promise<void>;
  /** Removes the file and what was saved. */
  remove(): Promise<void>;
}

export interface SavedPartial {
  /** Bytes of the file. */
  readonly size: number;
  /** What was given to save, as JSON keeps it; not checked. */
  readonly state: unknown;
}

export interface PartialHandle {
  /** Writes all pieces, `length` bytes in all, from a place on. */
  write(pieces: Uint8Array[], length: number, at: number): Promise<void>;
  /** Reads as much as is there, up to the whole target; returns the bytes read. */
  read(target: Uint8Array, at: number): Promise<number>;
  /** Returns once everything written would survive a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A digest that is computed piece by piece. */
export interface Hash {
  /** The piece is free for other use once this has returned. */
  update(piece: Uint8Array): unknown;
  /** Hexadecimal digits, lower case. */
  digest(): string | Promise<string>;
}

export type NewHash = (algorithm: "sha256" | "sha1") => Hash;
