import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { describe } from "vitest";

/** Where a Chromium is; the variable names one elsewhere. */
const places = [process.env.CLAVIS_CHROMIUM ?? "", "/usr/bin/chromium", "/usr/bin/google-chrome"];
export const chromiumPath = places.find((path) => path !== "" && existsSync(path));

/** A group of tests that need Chromium; where it is missing they are skipped under a name that says so. */
export function describeChromium(title: string, body: () => void): void {
  const name = chromiumPath ? title : `${title} (skipped: there is no ${places.slice(1).join(" or ")})`;
  describe.skipIf(!chromiumPath)(name, body);
}

/** A headless Chromium with a profile of its own. */
export function openChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath, chromiumSandbox: false });
}
