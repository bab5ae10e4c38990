import { readFileSync } from "node:fs";
import { endpointOf } from "./client.ts";
import { Network } from "./network.ts";
import type { PullEvent, StoreOptions } from "./options.ts";
import { Records } from "./records.ts";
import { defaultPatience, type Patience } from "./retry.ts";
import { type Settings, settingsFrom } from "./settings.ts";

/** What every action of the store works with. */
export interface Store {
  readonly settings: Settings;
  readonly records: Records;
  readonly patience: Patience;
  readonly connections: number;
  readonly partBytes: number;
  readonly network: Network;
  readonly verify: boolean;
  readonly requireSignature: boolean;
  readonly signal?: AbortSignal;
  tell(event: PullEvent): void;
}

export function storeOf(options: StoreOptions = {}): Store {
  const given = options.settings ?? settingsFrom(process.env, tokenFile);
  const { endpoint, token } = options;
  const settings: Settings = {
    ...given,
    ...(endpoint !== undefined && { endpoint: endpointOf(String(endpoint)) }),
    ...(token !== undefined && { token }),
  };
  return {
    settings,
    records: new Records(settings.ownFolder),
    patience: options.patience ?? defaultPatience,
    connections: options.connections ?? 4,
    partBytes: options.partBytes ?? 32 * 2 ** 20,
    network: new Network(settings, options.patience?.stallMs),
    verify: options.verify ?? false,
    requireSignature: options.requireSignature ?? false,
    signal: options.signal,
    tell: (event) => options.onEvent?.(event),
  };
}

function tokenFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}
