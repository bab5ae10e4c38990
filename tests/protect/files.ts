import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect } from "vitest";
import { ClavisError } from "../../src/errors.ts";

/** A folder of its own for a test file, removed at its end. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "clavis-protect-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function writeFiles(folder: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/** A key pair as PEM text. */
export function keyPair(namedCurve = "P-256"): { readonly privateKey: string; readonly publicKey: string } {
  return generateKeyPairSync("ec", {
    namedCurve,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
}

/** That something is refused with this code; gives the message. */
export async function refused(promise: Promise<unknown>, code: string): Promise<string> {
  const error = await promise.then(
    (value) => expect.fail(`expected ${code}, got ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(ClavisError);
  expect((error as ClavisError).code).toBe(code);
  return (error as ClavisError).message;
}

/** That a function either returns or refuses its input in words of this area. */
export function refusesInWords(use: () => unknown): void {
  try {
    use();
  } catch (error) {
    if (!(error instanceof ClavisError) || !error.code.startsWith("protect.")) throw error;
  }
}
