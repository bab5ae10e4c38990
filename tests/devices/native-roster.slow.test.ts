import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeNative } from "../support/native.ts";
import { root } from "../support/shared.ts";

describeNative("native: threads that do not pay", () => {
  const compiler = process.env.CXX ?? "g++";
  const hasCompiler = spawnSync(compiler, ["--version"]).status === 0;

  test.runIf(hasCompiler)(
    "are left out, tried again ever more rarely, and forgiven",
    () => {
      const folder = join(root, ".cache/native-threads");
      mkdirSync(folder, { recursive: true });
      const program = join(folder, "roster");
      const sources = ["tests/kernels/native-roster-harness.cc", "kernels/native/threads.cc"];
      const flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"];
      const compiled = spawnSync(compiler, [...flags, ...sources, "-o", program], {
        cwd: root,
        encoding: "utf8",
      });
      expect(compiled.status, compiled.stderr).toBe(0);
      const { status, stdout } = spawnSync(program, { encoding: "utf8", timeout: 60_000 });
      expect([status, stdout]).toEqual([0, "ok\n"]);
    },
    120_000,
  );
});
