import { ClavisError } from "../errors.ts";
import { describeUrl, filesAt } from "./addresses.ts";
import { carryOut, type Plan, retryTeller, type Task } from "./carry-out.ts";
import { badAnswer, badName } from "./errors.ts";
import { commitOf, followFile, listFiles, type RepoFile } from "./hub.ts";
import type { HubName, UrlName } from "./names.ts";
import type { Pulled } from "./options.ts";
import type { PartialHandle } from "./partial.ts";
import { chooseFiles } from "./quants.ts";
import { withRetries } from "./retry.ts";
import { pathOf, WebPartial } from "./web-files.ts";
import { sha256OfText } from "./web-hash.ts";
import { Announcer, takeLock } from "./web-lock.ts";
import { parsePageName } from "./web-names.ts";
import { isOfUrl, type WebRecord, type WebRecords } from "./web-records.ts";
import { checkStored, type WebTools, wholeFile } from "./web-tools.ts";

/**
 * Downloads a model into the origin's file system, unless it is there and current.
 *
 * @param base  the address of the page
 * @throws ClavisError `model.*`, `net.*`, `pull.*`, `store.*`; the signal's reason once it is aborted
 */
export async function pull(tools: WebTools, text: string, base: string | undefined): Promise<Pulled> {
  const name = parsePageName(text, base);
  if (name.kind === "url" && !/^https?:$/.test(name.url.protocol))
    throw badName(text, "a name of the hub, or an http or https address");
  const announcer = new Announcer();
  try {
    const plan =
      name.kind === "hub" ? await hubPlan(tools, name, announcer) : await urlPlan(tools, name, announcer);
    return { name: text, ...(await carryOut(tools, plan)) };
  } finally {
    announcer.close();
  }
}

/** What tells one file of the store from another, and its record when it is whole. */
interface Identity {
  readonly id: string;
  readonly file: string;
  /** The record as it should be, from the one that is there. */
  record(there: WebRecord | undefined): WebRecord;
  /** Called once it is whole. */
  installed?(): Promise<void>;
}

/** A download whose record says what it will be. */
class RecordedPartial extends WebPartial {
  readonly #records: WebRecords;
  readonly #id: string;
  readonly #record: Identity["record"];

  constructor({ files, records }: WebTools, id: string, record: Identity["record"]) {
    super(files, id);
    this.#records = records;
    this.#id = id;
    this.#record = record;
  }

  override async open(size: number, keep: boolean): Promise<PartialHandle> {
    try {
      // From here on it is a download and no model.
      const there = await this.#records.get(this.#id);
      if (there === undefined || there.sha256 !== undefined || there.size !== size) {
        const record = { ...this.#record(there), sha256: undefined, lastModified: undefined };
        await this.#records.put(this.#id, record);
      }
      return await super.open(size, keep);
    } catch (error) {
      // Where there is no room, what was begun is of no use either.
      if (!keep) await this.remove().catch(() => {});
      throw error;
    }
  }

  override async remove(): Promise<void> {
    await super.remove();
    await this.#records.remove(this.#id);
  }
}

/** What tasks for the hub and for other addresses have in common. */
function taskOf(
  tools: WebTools,
  { id, file, record, installed }: Identity,
  remote: Task["remote"],
  announcer: Announcer,
): Task {
  const { records, files, signal } = tools;
  const partial = new RecordedPartial(tools, id, record);
  return {
    remote,
    file,
    partial,
    lock: (waiting) => takeLock(id, waiting, signal),
    announce: (doneBytes) => announcer.announce(id, doneBytes),
    async isCurrent() {
      const there = await records.get(id);
      if (there?.sha256 === undefined) return false;
      const whole = await wholeFile(files, id, there);
      try {
        if (whole?.size === remote.size) {
          await checkStored(tools, { id, path: file, size: whole.size }, there, whole);
          return true;
        }
      } catch (error) {
        if (!(error instanceof ClavisError) || error.code !== "store.digest") throw error;
      }
      tools.tell({ type: "damaged", file });
      return false;
    },
    async found() {
      const there = await records.get(id);
      const wanted = record(there);
      if (JSON.stringify(wanted) !== JSON.stringify(there)) await records.put(id, wanted);
      return pathOf(id);
    },
    async install(sha256) {
      const { lastModified } = (await files.file(id))!;
      await records.put(id, { ...record(await records.get(id)), sha256, lastModified });
      await partial.removeState();
      await installed?.();
      return pathOf(id);
    },
  };
}

// ---- the hub

async function hubPlan(tools: WebTools, name: HubName, announcer: Announcer): Promise<Plan> {
  const { network, settings, patience, signal } = tools;
  const retried = <T>(attempt: () => Promise<T>) =>
    withRetries(patience, signal, attempt, retryTeller(tools, name.shown));
  // Redirects are the browser's, so what the hub says of a file beside them is not seen; its lists say as much.
  const commit = await retried(() => commitOf(network, settings, name, signal));
  const at = { repo: name.repo, revision: commit };
  const listed = await retried(() => listFiles(network, settings, at, signal));
  const { files, quant, chosen } = chooseFiles(name.repo, listed, name);
  if (chosen) tools.tell({ type: "chosen", repo: name.repo, quant, files: files.map(({ path }) => path) });
  return { tasks: files.map((file) => hubTask(tools, name, commit, file, announcer)), quant };
}

function hubTask(
  tools: WebTools,
  { repo, revision }: HubName,
  commit: string,
  { path, size, digest }: RepoFile,
  announcer: Announcer,
): Task {
  const { network, settings, patience } = tools;
  if (digest === undefined) throw badAnswer(settings.endpoint.host, `no digest of "${path}"`);
  let location: URL | undefined;
  const identity: Identity = {
    id: digest.hex,
    file: path,
    record(there) {
      const known = there?.hub ?? [];
      const same = known.find(
        (ref) => ref.repo === repo && ref.revision === revision && ref.commit === commit && ref.path === path,
      );
      const ref = { repo, revision, commit, path, addedAt: Date.now() };
      return { ...there, size, hub: same ? known : [...known, ref] };
    },
  };
  const remote: Task["remote"] = {
    shown: `${repo}/${path}`,
    size,
    version: digest.hex,
    digest,
    linksEnd: true,
    async location(again, signal) {
      if (again || location === undefined)
        location = await withRetries(
          patience,
          signal,
          () => followFile(network, settings, { repo, revision: commit }, path, signal),
          retryTeller(tools, path),
        );
      return location;
    },
  };
  return taskOf(tools, identity, remote, announcer);
}

// ---- other addresses

async function urlPlan(tools: WebTools, name: UrlName, announcer: Announcer): Promise<Plan> {
  const { network, settings, patience, records, files, signal } = tools;
  const tasks: Task[] = [];
  for (const { url, file } of filesAt(name.url)) {
    const { size, version } = await withRetries(
      patience,
      signal,
      () => describeUrl(network, settings, url, signal),
      retryTeller(tools, file),
    );
    const id = `url-${(await sha256OfText(`${url.href}\n${version ?? ""}`)).slice(0, 32)}`;
    const identity: Identity = {
      id,
      file,
      record: (there) => ({ ...there, size, hub: [], url: { href: url.href, version } }),
      // The version before is of no use any more.
      async installed() {
        for (const [other, record] of await records.all()) {
          if (other === id || !isOfUrl(record, url)) continue;
          await records.remove(other);
          await new WebPartial(files, other).remove();
        }
      },
    };
    const remote: Task["remote"] = {
      shown: url.href,
      size,
      // Without one nothing tells whether half a file goes with the other half.
      version: version ?? crypto.randomUUID(),
      linksEnd: false,
      isOther: (answer) => (answer.header("etag") ?? answer.header("last-modified")) !== version,
      location: async () => url,
    };
    tasks.push(taskOf(tools, identity, remote, announcer));
  }
  return { tasks };
}
