import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

/** Where a Chromium may be; the variable names one elsewhere. */
export const chromiumPlaces = ["/usr/bin/chromium", "/usr/bin/google-chrome"];

export const chromiumPath = [process.env.CLAVIS_CHROMIUM ?? "", ...chromiumPlaces].find(
  (path) => path !== "" && existsSync(path),
);

/** A headless Chromium with a profile of its own. */
export function openChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath, chromiumSandbox: false });
}
