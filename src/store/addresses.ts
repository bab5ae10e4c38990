import { partNames } from "../bytes/parts.ts";
import { type Answer, type Client, type Hub, refusal } from "./client.ts";
import { badAnswer } from "./errors.ts";
import { checkFileName } from "./names.ts";

// Models at addresses outside the hub.

/** Bytes of a file's name; endings such as `.incomplete.json.new` still fit behind it. */
const longestGiven = 230;

/** A file at an address. */
export interface AddressFile {
  readonly url: URL;
  /** Its name. */
  readonly file: string;
}

/** What a server says of a file at an address. */
export interface UrlDescription {
  readonly size: number;
  /** Tells one version of the file from another; undefined where the server says nothing that does. */
  readonly version?: string;
  /** A strong ETag, for If-Range. */
  readonly validator?: string;
}

/**
 * All files of the model at an address, in order: the parts of a split one, or the one file.
 *
 * @throws ClavisError `model.file_name`, `gguf.part_number`
 */
export function filesAt(url: URL): AddressFile[] {
  const given = fileNameOf(url);
  checkFileName(given, longestGiven);
  return partNames(given).map((file) => {
    const part = new URL(url);
    if (file !== given) part.pathname = part.pathname.replace(/[^/]*$/, encodeURIComponent(file));
    return { url: part, file };
  });
}

/**
 * Asks for the first byte, because many servers do not answer HEAD, or say less in it.
 *
 * @throws ClavisError `net.*`
 */
export async function describeUrl(
  client: Client,
  hub: Hub,
  url: URL,
  signal?: AbortSignal,
): Promise<UrlDescription> {
  const answer = await client.request(url, { headers: { range: "bytes=0-0" }, signal });
  answer.discard();
  const { status } = answer;
  if (status !== 200 && status !== 206) throw refusal(answer, url.href, hub);
  if (status === 206 && client.hidesHeaders && answer.header("content-range") === undefined)
    return describeWhole(client, hub, url, signal);
  const told =
    status === 206
      ? /^bytes 0-0\/(\d+)$/.exec(answer.header("content-range") ?? "")?.[1]
      : answer.header("content-length");
  return descriptionOf(answer, Number(told ?? Number.NaN));
}

/** A page is not shown the Content-Range of a server that does not expose it, but always the length of a whole file. */
async function describeWhole(
  client: Client,
  hub: Hub,
  url: URL,
  signal?: AbortSignal,
): Promise<UrlDescription> {
  const answer = await client.request(url, { signal });
  answer.discard();
  if (answer.status !== 200) throw refusal(answer, url.href, hub);
  return descriptionOf(answer, Number(answer.header("content-length") ?? Number.NaN));
}

function descriptionOf(answer: Answer, size: number): UrlDescription {
  if (!Number.isSafeInteger(size)) throw badAnswer(answer.url.host, "no size of the file");
  const etag = answer.header("etag");
  const version = etag ?? answer.header("last-modified");
  return { size, version, validator: etag?.startsWith('"') ? etag : undefined };
}

function fileNameOf(url: URL): string {
  const last = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(last) || "model.gguf";
  } catch {
    return last;
  }
}
