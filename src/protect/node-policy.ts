import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { ClavisError } from "../errors.ts";
import { invalidPolicy, policyUnreadable } from "./errors.ts";
import { Fields, parseJson } from "./json.ts";
import { readSmallFile } from "./node-read.ts";
import type { Trust } from "./node-verify.ts";

/** What may be loaded on this machine. */
export interface Policy extends Required<Trust> {
  /** Whether a model without a signature that verifies is refused. */
  readonly requireSignature: boolean;
}

const mostPolicyBytes = 2 ** 20;

/**
 * The policy in force: of the file named, else of CLAVIS_POLICY, else `clavis/policy.json` in the user's
 * configuration folder (XDG_CONFIG_HOME, ~/.config).
 *
 * A policy that is named and not there, or that cannot be understood to the last field, is an error:
 * a slip in it must not switch the protection off.
 *
 * @returns undefined where none is named and the configuration folder has none
 * @throws ClavisError `protect.policy_read`, `protect.policy`
 */
export async function findPolicy(
  path?: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Policy | undefined> {
  const named = path ?? (environment.CLAVIS_POLICY || undefined);
  if (named !== undefined) return readPolicy(named);
  try {
    return await readPolicy(join(configFolder(environment), "clavis/policy.json"));
  } catch (error) {
    const code = ((error as ClavisError).cause as NodeJS.ErrnoException | undefined)?.code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Source: XDG Base Directory Specification, which says that a relative path is to be ignored. */
function configFolder({ XDG_CONFIG_HOME: named }: NodeJS.ProcessEnv): string {
  return named && isAbsolute(named) ? named : join(homedir(), ".config");
}

async function readPolicy(path: string): Promise<Policy> {
  const bytes = await readWhole(path);
  try {
    const fields = new Fields(parseJson(bytes, "the policy"), "the policy");
    fields.only("requireSignature", "keys", "authorities");
    const requireSignature = fields.boolean("requireSignature");
    const keys = paths(fields, "keys", path);
    const authorities = paths(fields, "authorities", path);
    if (requireSignature && keys.length + authorities.length === 0) {
      fields.refuse("keys", "at least one, where a signature is required");
    }
    return { requireSignature, keys, authorities };
  } catch (error) {
    throw error instanceof ClavisError ? invalidPolicy(path, error) : error;
  }
}

/** Paths in a policy start from its own folder. */
function paths(fields: Fields, name: string, policy: string): string[] {
  if (!fields.has(name)) return [];
  return fields.list(name, 0).map((one) => {
    if (typeof one !== "string" || one === "") fields.refuse(name, "a list of paths");
    return resolve(dirname(policy), one);
  });
}

async function readWhole(path: string): Promise<Uint8Array> {
  try {
    const bytes = await readSmallFile(path, mostPolicyBytes);
    if (bytes === undefined) throw new Error("it is too large for a policy");
    return bytes;
  } catch (error) {
    throw policyUnreadable(path, error);
  }
}
