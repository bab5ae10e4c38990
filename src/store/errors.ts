import { ClavisError, grouped, quoted } from "../errors.ts";
import type { ProxyServer } from "./proxy.ts";

// One function per message of this area, so that wording can be reviewed together.

/** Bytes for people: 391906304 becomes "373.8 MiB". */
function sized(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const power = Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(1)} ${["", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

const several = (names: readonly string[], most = 12) =>
  names.slice(0, most).map(quoted).join(", ") +
  (names.length > most ? `, and ${names.length - most} more` : "");

/** What a failure of the system says, without its stack. */
const reasonOf = (cause: unknown): string => {
  const { code, message } = (cause ?? {}) as { code?: string; message?: string };
  return message === undefined
    ? String(cause)
    : code && !message.includes(code)
      ? `${message} (${code})`
      : message;
};

/** An address without what is secret in it: user name, password, and the query that signs a link. */
const withoutUser = (address: string) => address.replace(/\/\/.*@/, "//…@").replace(/\?.*/, "?…");

/** Pages have no environment and no command: what variables are elsewhere are options there. */
const inPage = globalThis.process?.versions?.node === undefined;
const tokenName = inPage ? "the option token" : "HF_TOKEN";
const endpointName = inPage ? "the option endpoint" : "HF_ENDPOINT";
const pullIt = (name: string) => (inPage ? `pull(${JSON.stringify(name)})` : `\`clavis pull ${name}\``);

// ---- names

export const badName = (name: string, expected: string) =>
  new ClavisError("model.name", {
    found: `the model name ${quoted(name)}`,
    expected,
    next: "For example: qwen3:0.6b, Qwen/Qwen3-0.6B-GGUF:Q8_0, hf.co/owner/repo/file.gguf, or a path.",
  });

export const badFileName = (path: string) =>
  new ClavisError("model.file_name", {
    found: `the file name ${quoted(path)}`,
    expected: "a relative path that stays inside the repository",
    next: "Do not use it; names like this are made to write outside of the model folder.",
  });

export const longFileName = (path: string, most: number) =>
  new ClavisError("model.file_name", {
    found: `the file name ${quoted(path)}`,
    expected: `names of at most ${most} bytes`,
    next: "Download it by other means under a shorter name, and load it by its path.",
  });

export const urlWithPassword = (host: string) =>
  new ClavisError("model.name", {
    found: `an address with a user name or password, at ${quoted(host)}`,
    expected: "an address without them, because names are shown and recorded",
    next: `Leave them out; for the Hugging Face hub set ${tokenName}.`,
  });

export const notFound = (path: string, names: readonly string[]) =>
  new ClavisError("model.not_found", {
    found: `nothing at ${quoted(path)}`,
    expected: `the path of a GGUF file, owner/repo of the Hugging Face hub, or a name such as ${several(names)}`,
    next: "Check the path or the name; `clavis list` shows the models that are here.",
  });

export const builtInMissing = (path: string) =>
  new ClavisError("model.not_found", {
    found: `nothing at ${quoted(path)}`,
    expected: "the model that comes with the package",
    next: "Install the package again; its models folder is incomplete.",
  });

export const notLocal = (name: string) =>
  new ClavisError("model.not_local", {
    found: `${quoted(name)}, which has not been downloaded`,
    expected: "a model on this machine",
    next: `Run ${pullIt(name)}, or load it with the option pull.`,
  });

export const noGgufFiles = (repo: string) =>
  new ClavisError("model.no_file", {
    found: `no GGUF file in ${quoted(repo)}`,
    expected: "a repository with GGUF files, whose name often ends in -GGUF",
    next: "Look for a GGUF version of this model on the hub.",
  });

export const noSuchFile = (repo: string, file: string, there: readonly string[]) =>
  new ClavisError("model.no_file", {
    found: `no file ${quoted(file)} in ${quoted(repo)}`,
    expected: there.length > 0 ? `one of ${several(there)}` : "a GGUF file of that repository",
    next: "Check the file's name on the hub.",
  });

export const noSuchQuant = (repo: string, quant: string, there: readonly string[]) =>
  new ClavisError("model.no_quant", {
    found: `no ${quoted(quant)} in ${quoted(repo)}`,
    expected:
      there.length > 0 ? `one of ${there.join(", ")}` : "no quantisation, because the names tell none",
    next: "Name one of these, or none to have one chosen.",
  });

export const notSigned = (name: string) =>
  new ClavisError("pull.unsigned", {
    found: `no signature for ${quoted(name)} where it would be downloaded from`,
    expected: "a repository of the Hugging Face hub with FILE.sig or model.sig, as the policy requires",
    next: "Nothing was downloaded. Choose a signed model; or pull it with `clavis pull`, look at it, and sign it yourself.",
  });

export const partsMissing = (repo: string, missing: readonly string[]) =>
  new ClavisError("model.parts_missing", {
    found: `${quoted(repo)} without ${several(missing, 3)}`,
    expected: "all parts of the split model",
    next: "Pull it; if the hub itself lacks them, ask whoever uploaded the model.",
  });

// ---- the network

export const offline = (what: string) =>
  new ClavisError("net.offline", {
    found: `${quoted(what)} is not on this machine, and HF_HUB_OFFLINE is set`,
    expected: "a model that was downloaded before",
    next: "Unset HF_HUB_OFFLINE to download it.",
  });

export const unreachable = (host: string, cause: unknown) =>
  new ClavisError("net.unreachable", {
    found: `no answer from ${quoted(host)} (${reasonOf(cause)})`,
    expected: "a server that answers",
    next: inPage
      ? "Check the address and the network; a server of another origin must allow this page (CORS)."
      : "Check the network and HF_ENDPOINT; behind a proxy set HTTPS_PROXY.",
    cause,
  });

export const unreachableThrough = (host: string, { url, variable }: ProxyServer, cause: unknown) =>
  new ClavisError("net.unreachable", {
    found: `no answer from ${quoted(host)} through the proxy ${quoted(url.host)} (${reasonOf(cause)})`,
    expected: "a proxy and a server that answer",
    next: `Check ${variable}; hosts in NO_PROXY are asked without a proxy.`,
    cause,
  });

export const proxyRefused = ({ url, variable, authorization }: ProxyServer, { host }: URL, status: number) =>
  new ClavisError(status >= 500 ? "net.unreachable" : "net.proxy", {
    found: `the proxy ${quoted(url.host)} answered ${status} for ${quoted(host)}`,
    expected: status === 407 ? "to be let through" : "a connection to that host",
    next:
      status !== 407
        ? `Ask whoever runs the proxy, or name the host in NO_PROXY; ${variable} names the proxy.`
        : authorization === undefined
          ? `It asks for a user name and password: ${variable}=http://USER:PASSWORD@${url.host}`
          : `Check the user name and password in ${variable}; special characters are written as %40 and the like.`,
  });

export const badProxy = (variable: string, what: string) =>
  new ClavisError("net.proxy", {
    found: `${variable} ${what}`,
    expected: "the address of an http or https proxy, such as http://proxy.example:3128",
    next: `Correct ${variable}, unset it, or name the host in NO_PROXY.`,
  });

/** What the codes of Node's TLS mean to whoever reads them. */
const certificateReason = (code: string) => {
  switch (code) {
    case "CERT_HAS_EXPIRED":
      return "has expired";
    case "CERT_NOT_YET_VALID":
      return "is not valid yet";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
    case "HOSTNAME_MISMATCH":
      return "is for another host";
    default:
      return "is from an authority that this machine does not know";
  }
};

export const untrusted = (host: string, code: string, cause: unknown) => {
  const reason = certificateReason(code);
  return new ClavisError("net.certificate", {
    found: `the certificate of ${quoted(host)} ${reason} (${code})`,
    expected: "a certificate that proves who answers",
    next: /authority/.test(reason)
      ? "If a mirror or proxy has an authority of its own, name its certificate in NODE_EXTRA_CA_CERTS=FILE.pem."
      : /expired|yet/.test(reason)
        ? "Check this machine's clock; if it is right, tell whoever runs the server."
        : "Check the address and HF_ENDPOINT; another server may be answering in its place.",
    cause,
  });
};

export const brokenOff = (host: string, done: number, all: number, cause?: unknown) =>
  new ClavisError("net.broken", {
    found: `${quoted(host)} broke off after ${grouped(done)} of ${grouped(all)} bytes${cause === undefined ? "" : ` (${reasonOf(cause)})`}`,
    expected: "the whole file",
    next: "Run it again; the download goes on where it stopped.",
    cause,
  });

export const stalled = (host: string, ms: number) =>
  new ClavisError("net.stalled", {
    found: `almost nothing came from ${quoted(host)} for ${Math.round(ms / 1000)} s`,
    expected: "a connection that moves",
    next: "Check the network and run it again; the download goes on where it stopped.",
  });

export const badEndpoint = (text: string) =>
  new ClavisError("net.endpoint", {
    found: `${endpointName} is ${quoted(withoutUser(text))}`,
    expected: "an http or https address without a user name or password",
    next: `Set ${endpointName} to such an address, or leave it out.`,
  });

export const badRedirect = (host: string, target: string) =>
  new ClavisError("net.redirect", {
    found: `${quoted(host)} sends on to ${quoted(withoutUser(target))}`,
    expected: "at most 10 redirects, to http or https addresses, and from https only to https",
    next: "Check the address; do not trust this server with a model.",
  });

export const unauthorized = (what: string, host: string, hasToken: boolean) =>
  new ClavisError("net.unauthorized", {
    found: `${quoted(host)} asks who wants ${quoted(what)} (401)`,
    expected: hasToken ? "a token that it accepts" : "a public model, or a token",
    next: hasToken
      ? `Check ${tokenName} and the spelling; a repository that does not exist is answered like this too.`
      : `Check the spelling, because a repository that does not exist is answered like this too; for a private or gated one set ${tokenName}.`,
  });

export const forbidden = (what: string, host: string, gated: boolean) =>
  new ClavisError("net.forbidden", {
    found: `${quoted(host)} does not give out ${quoted(what)} (403)`,
    expected: gated ? `that its licence was accepted by the owner of ${tokenName}` : "permission to read it",
    next: gated
      ? "Accept the licence on the model's page, then run it again."
      : `Check what ${tokenName} may read.`,
  });

export const missing = (what: string, host: string) =>
  new ClavisError("net.missing", {
    found: `${quoted(host)} has no ${quoted(what)} (404)`,
    expected: "a repository, revision and file that are there",
    next: "Check the spelling on the hub.",
  });

export const tooMany = (host: string, waitMs: number | undefined) =>
  new ClavisError("net.too_many", {
    found: `${quoted(host)} asks to wait (429)`,
    expected: "fewer requests",
    next:
      waitMs === undefined
        ? "Run it again in a few minutes."
        : `Run it again in ${Math.ceil(waitMs / 1000)} s; the download goes on where it stopped.`,
  });

export const refused = (what: string, host: string, status: number) =>
  new ClavisError(status >= 500 ? "net.server" : "net.status", {
    found: `${quoted(host)} answered ${status} for ${quoted(what)}`,
    expected: "the file",
    next: status >= 500 ? "Run it again later; what was downloaded is kept." : "Check the address.",
  });

export const badAnswer = (host: string, what: string) =>
  new ClavisError("net.answer", {
    found: `${quoted(host)} answered with ${what}`,
    expected: "what the Hugging Face hub answers",
    next: `Check ${endpointName}, and that no proxy or sign-in page answers in its place.`,
  });

export const noRanges = (host: string) =>
  new ClavisError("net.no_ranges", {
    found: `${quoted(host)} does not give out parts of a file`,
    expected: "a server with HTTP ranges, to read only the header",
    next: "Pull the whole model first.",
  });

// ---- downloads

export const noSpace = (folder: string, needed: number, free: number) =>
  new ClavisError("pull.space", {
    found: `${sized(free)} free in ${quoted(folder)}`,
    expected: `${sized(needed)} for the rest of the download`,
    next: "Free some space (`clavis list`, `clavis rm`), or choose another folder with HF_HUB_CACHE.",
  });

export const cannotWrite = (path: string, cause: unknown) => {
  const isFull = /ENOSPC|EDQUOT/.test(reasonOf(cause));
  return new ClavisError(isFull ? "pull.space" : "pull.write", {
    found: `the system could not write ${quoted(path)} (${reasonOf(cause)})`,
    expected: `a folder ${isFull ? "with room" : "that this user may write"}`,
    next: isFull
      ? "Free some space (`clavis list`, `clavis rm`) and run it again; the download goes on where it stopped."
      : "Check the folder and its permissions, or choose another one with HF_HUB_CACHE.",
    cause,
  });
};

export const changed = (what: string) =>
  new ClavisError("pull.changed", {
    found: `${quoted(what)} changed on the server during the download`,
    expected: "one version of the file from beginning to end",
    next: "Run it again.",
  });

export const wrongDigest = (what: string, found: string, expected: string) =>
  new ClavisError("pull.digest", {
    found: `${quoted(what)} with the digest ${found}`,
    expected: `${expected}, as the hub says`,
    next: "Nothing was installed. Run it again; if it stays so, a proxy or mirror changes the file.",
  });

export const notGguf = (what: string) =>
  new ClavisError("pull.not_gguf", {
    found: `${quoted(what)}, which does not begin as a GGUF file`,
    expected: "a model in the GGUF format",
    next: "Nothing was installed. Open the address in a browser; it may be a sign-in page or another format.",
  });

export const damaged = (path: string, found: string, expected: string) =>
  new ClavisError("store.digest", {
    found: `${quoted(path)} with the sha256 ${found}`,
    expected: `${expected}, as when it was downloaded`,
    next: "The file was changed or damaged on disk. Pull it again, which replaces it.",
  });

export const nothingToRemove = (name: string) =>
  new ClavisError("model.not_local", {
    found: `${quoted(name)}, which is not among the downloaded models`,
    expected: `a name that ${inPage ? "list()" : "`clavis list`"} shows`,
    next: "Nothing was removed. Files named by a path are left to you.",
  });

export const ambiguous = (name: string, there: readonly string[]) =>
  new ClavisError("model.ambiguous", {
    found: `${quoted(name)}, of which ${there.length} are on this machine`,
    expected: `one of ${several(there)}`,
    next: "Name one of them.",
  });

// ---- the store of a page

export const noStorage = (reason: string, cause?: unknown) =>
  new ClavisError("store.unavailable", {
    found: `no place for files: ${reason}`,
    expected: "the file system that browsers give each origin (OPFS)",
    next: "Load the model without storing it: from an address, or from a file that the user picks.",
    cause,
  });

export const noWorker = (reason: string, cause?: unknown) =>
  new ClavisError("store.worker", {
    found: `the store's worker could not start (${reason})`,
    expected: "clavis-store.js and clavis-sha256.wasm beside clavis.js, and a page that may start workers",
    next: "Serve the whole folder dist/browser, and allow worker-src blob: in the page's security policy.",
    cause,
  });

export const noWebSpace = (needed: number, free: number | undefined) =>
  new ClavisError("pull.space", {
    found:
      free === undefined ? "no room left" : `${sized(free)} left of what the browser lets this site store`,
    expected:
      needed > 0 ? `${sized(needed)} for the rest of the download` : "room for the rest of the download",
    next: "Remove a model (list(), remove()), or ask the user for room on the disk.",
  });

export const cannotStore = (name: string, cause: unknown) =>
  new ClavisError("pull.write", {
    found: `the browser could not write ${quoted(name)} (${reasonOf(cause)})`,
    expected: "a file that this page alone writes",
    next: "Close other tabs of this site and try again.",
    cause,
  });

export const inUse = (name: string) =>
  new ClavisError("store.busy", {
    found: `${quoted(name)}, which is being downloaded or loaded now`,
    expected: "a model that nothing of this site is busy with",
    next: "Wait until that is done, or stop it.",
  });

export const notInPage = (name: string) =>
  new ClavisError("model.not_found", {
    found: `the model ${quoted(name)}, which comes with the package and not with the bundle for browsers`,
    expected: "a name of the hub, or the address of a file",
    next: "Serve the package's file models/clavis-stories-q8_0.gguf and give its address.",
  });
