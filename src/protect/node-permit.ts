import type { ByteSource } from "../bytes/source.ts";
import { notAFile } from "./errors.ts";
import { findPolicy, type Policy } from "./node-policy.ts";
import { verifiedSource } from "./node-verified-source.ts";
import { findSignature, readSigned, signedAs } from "./node-verify.ts";

export interface PermitOptions {
  /** Path of a policy file. Default: CLAVIS_POLICY, else clavis/policy.json in the configuration folder. */
  readonly policy?: string;
  readonly signal?: AbortSignal;
}

/**
 * The sources of a model as far as the policy in force permits to load it: as they are where it asks for
 * nothing, else verified, and closed where one does not verify.
 *
 * Each file is looked up under its name in `FILE.sig`, or in `model.sig` beside it or in the folder above; other
 * files of the folder are not looked at.
 *
 * @throws ClavisError `protect.*`
 */
export async function permitted(
  sources: readonly ByteSource[],
  { policy: policyPath, signal }: PermitOptions,
): Promise<readonly ByteSource[]> {
  try {
    const policy = await findPolicy(policyPath);
    if (!policy?.requireSignature) return sources;
    const verified: ByteSource[] = [];
    for (const source of sources) verified.push(await verifiedBy(policy, source, signal));
    return verified;
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
}

/**
 * Whether the policy in force refuses models without a signature.
 *
 * @throws ClavisError `protect.policy_read`, `protect.policy`
 */
export async function requiresSignature({ policy }: PermitOptions): Promise<boolean> {
  return (await findPolicy(policy))?.requireSignature === true;
}

async function verifiedBy(policy: Policy, source: ByteSource, signal?: AbortSignal): Promise<ByteSource> {
  const { path } = source;
  if (path === undefined) throw notAFile(source.name);
  const signature = await findSignature(path, false);
  const { statement } = await readSigned(signature, policy);
  const resources = signedAs(path, statement, signature);
  return verifiedSource(source, resources, statement.serialization, { signal });
}
