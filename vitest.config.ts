import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Where CI wants the runner's report, one file per run.
const reports = process.env.CLAVIS_TEST_REPORTS;

// Two projects: `fast` is what `npm run check` runs; `npm test` runs both.
// A slow test ends in .slow.test.ts: conformance over whole files, hostile files, real processes.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "fast",
          include: ["tests/**/*.test.ts"],
          exclude: ["tests/**/*.slow.test.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "slow",
          include: ["tests/**/*.slow.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
    maxWorkers: 2,
    reporters: reports ? ["default", "json"] : ["default"],
    outputFile: reports ? { json: join(reports, `${process.pid}.json`) } : undefined,
  },
});
