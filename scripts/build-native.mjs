// Compiles kernels/native with the C++ compiler of the machine: dist/native/clavis.node. Without node-gyp: an addon
// is a shared library, and the headers of Node-API come from the package node-api-headers.
//
//   node scripts/build-native.mjs [--force] [--target=aarch64] [--sanitize]
//
// Says in one line what it did. Where there is no compiler the wasm device does the work, so nothing here fails an
// installation. $CXX names another compiler. --target=aarch64 cross-compiles to dist/native/clavis-aarch64.node;
// --sanitize makes dist/native/clavis-sanitized.node, which stops at undefined behaviour and wrong addresses.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const sourceFolder = join(root, "kernels/native");

const compileFlags = [
  ...["-std=c++20", "-O2", "-g0", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"],
  // gcc 12 takes the undefined registers of its own headers for a mistake.
  "-Wno-maybe-uninitialized",
  // A product and a sum are rounded one by one, whatever the processor could fuse: docs/numerics.md.
  "-ffp-contract=off",
  ...["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
];
const hardening = { x64: ["-fcf-protection=full"], arm64: ["-mbranch-protection=standard"] };
// nodelete: threads of the addon may be at work when the worker that loaded it ends.
const linkFlags = {
  linux: ["-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete", "-Wl,--as-needed", "-pthread"],
  darwin: ["-undefined", "dynamic_lookup"],
};

// At -O2 the compiler takes minutes over the checks in the products' kernels.
const sanitizers = [
  "-O1",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=undefined",
  "-fno-omit-frame-pointer",
];

/**
 * Brings the addon up to date.
 *
 * @param {{ force?: boolean, target?: "aarch64", sanitize?: boolean }} options  target: cross-compile instead of
 *   building for this machine; sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer
 * @returns {Promise<{ file?: string, built: boolean, message: string }>} file: the addon, where there is one now;
 *   built: whether it was compiled by this call; message: one line for people
 */
export async function buildNative({ force = false, target, sanitize = false } = {}) {
  const arch = target === "aarch64" ? "arm64" : process.arch;
  const variant = sanitize ? "sanitized" : target;
  const file = join(root, "dist/native", variant ? `clavis-${variant}.node` : "clavis.node");
  const fallback = "the wasm device is used";
  if (!existsSync(sourceFolder)) {
    return { built: false, message: `native kernels: no sources here; ${fallback}` };
  }
  const sources = readdirSync(sourceFolder).sort();
  const newest = (names) => Math.max(...names.map((name) => changed(join(sourceFolder, name))));
  const script = changed(fileURLToPath(import.meta.url));
  if (!force && existsSync(file) && changed(file) > Math.max(newest(sources), script)) {
    return { file, built: false, message: `native kernels: ${relative(root, file)} is up to date` };
  }
  if (!hardening[arch] || !linkFlags[process.platform]) {
    const message = `native kernels: none for ${process.platform} on ${arch}; ${fallback}`;
    return { built: false, message };
  }
  const compiler = target
    ? found([`${target}-linux-gnu-g++`])
    : found([process.env.CXX, "g++", "clang++", "c++"]);
  if (!compiler) return { built: false, message: `native kernels: no C++ compiler found; ${fallback}` };

  try {
    const start = performance.now();
    const { include_dir: headers } = createRequire(import.meta.url)("node-api-headers");
    // Objects outside of dist/, so that what did not change is not compiled again after a clean build.
    const objects = join(root, ".cache/native", variant ?? arch);
    mkdirSync(objects, { recursive: true });
    mkdirSync(dirname(file), { recursive: true });
    const extra = sanitize ? sanitizers : [];
    const flags = [...compileFlags, ...hardening[arch], ...extra, `-I${headers}`];
    const wanted = sources
      .filter((name) => name.endsWith(".cc"))
      .map((name) => {
        const source = join(sourceFolder, name);
        const object = join(objects, name.replace(/cc$/, "o"));
        const fresh = !force && existsSync(object) && changed(object) > Math.max(newestPart(object), script);
        return { source, object, fresh };
      });
    // The largest first, so that the last of them is not waited for alone.
    const stale = wanted.filter(({ fresh }) => !fresh);
    stale.sort((one, other) => statSync(other.source).size - statSync(one.source).size);
    const compileNext = async () => {
      for (let job = stale.shift(); job; job = stale.shift()) {
        // Renamed when whole: another build may be under way.
        const partial = `${job.object}.${process.pid}`;
        await execute(compiler, [...flags, "-MMD", "-MF", `${partial}.d`, "-o", partial, "-c", job.source]);
        renameSync(`${partial}.d`, job.object.replace(/o$/, "d"));
        renameSync(partial, job.object);
      }
    };
    await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, compileNext));
    const partial = file.replace(/node$/, `${process.pid}.node`);
    try {
      const link = [
        "-shared",
        ...extra,
        ...wanted.map(({ object }) => object),
        ...linkFlags[process.platform],
      ];
      await execute(compiler, [...link, "-o", partial]);
      // A symbol that is nowhere defined shows only here.
      if (!variant) await execute(process.execPath, ["-e", "require(process.argv[1])", partial]);
      renameSync(partial, file);
    } finally {
      rmSync(partial, { force: true });
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const message = `native kernels: built ${relative(root, file)} with ${compiler} in ${seconds} s`;
    return { file, built: true, message };
  } catch (error) {
    // Half a build would be taken for a whole one.
    rmSync(file, { force: true });
    const [first] = String(error.message).split("\n");
    return { built: false, message: `native kernels: ${first}; ${fallback}`, details: error.message };
  }
}

const changed = (path) => statSync(path).mtimeMs;

/** When the last of the files changed that an object was made of: the compiler lists them beside it. */
function newestPart(object) {
  const list = object.replace(/o$/, "d");
  if (!existsSync(list)) return Number.POSITIVE_INFINITY;
  const [, ...files] = readFileSync(list, "utf8").split(/[\s\\]+/);
  const parts = files.filter((file) => file !== "");
  return parts.every(existsSync) ? Math.max(...parts.map(changed)) : Number.POSITIVE_INFINITY;
}

/** The first of these compilers that starts. */
function found(names) {
  return names.find((name) => name && spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);
}

/** Runs the compiler; what it says goes into the error. */
function execute(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve(said);
      else reject(new Error(`${basename(command)} failed on ${basename(args.at(-1))}\n${said}`));
    });
  });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const target = process.argv.find((arg) => arg.startsWith("--target="))?.slice(9);
  const [force, sanitize] = ["--force", "--sanitize"].map((flag) => process.argv.includes(flag));
  const { message, details } = await buildNative({ force, target, sanitize });
  process.stdout.write(`${message}\n`);
  if (details) process.stderr.write(`${details}\n`);
}
