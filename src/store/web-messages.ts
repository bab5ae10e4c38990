import { ClavisError, type ErrorParts } from "../errors.ts";
import type { PullEvent } from "./options.ts";
import type { PlainOptions } from "./web-tools.ts";

// What a page and its store's worker say to each other: plain data, because errors lose their kind on the way.

export type Action = "pull" | "list" | "remove" | "resolve";

export type ToWorker =
  | {
      readonly action: Action;
      readonly name: string;
      /** The address of the page. */
      readonly base?: string;
      readonly options: PlainOptions;
      readonly sha256: WebAssembly.Module;
    }
  | { readonly abort: true };

export type FromWorker =
  | { readonly event: PlainEvent }
  | { readonly value: unknown }
  | { readonly error: PlainError };

export type PlainError =
  | { readonly code: string; readonly parts: ErrorParts }
  | { readonly name: string; readonly message: string };

type PlainEvent = PullEvent | (Omit<PullEvent & { error: ClavisError }, "error"> & { error: PlainError });

export function plainError(error: unknown): PlainError {
  if (error instanceof ClavisError) {
    const { code, found, expected, next } = error;
    return { code, parts: { found, expected, next } };
  }
  const { name, message } = Object(error) as { name?: unknown; message?: unknown };
  return { name: String(name), message: String(message ?? error) };
}

export function errorOf(plain: PlainError): Error {
  if ("code" in plain) return new ClavisError(plain.code, plain.parts);
  return Object.assign(new Error(plain.message), { name: plain.name });
}

export function plainEvent(event: PullEvent): PlainEvent {
  return "error" in event ? { ...event, error: plainError(event.error) } : event;
}

export function eventOf(event: PlainEvent): PullEvent {
  const { error } = event as { error?: PlainError };
  return (error === undefined ? event : { ...event, error: errorOf(error) }) as PullEvent;
}
