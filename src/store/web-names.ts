import { urlUnusable } from "../bytes/errors.ts";
import { notInPage } from "./errors.ts";
import { type HubName, parseName, type UrlName } from "./names.ts";

/**
 * Reads a name in a page: a name of the hub, or an address, which may be relative to the page.
 *
 * @param base  the address of the page
 * @throws ClavisError `model.name`; `model.not_found` for the built-in model; `source.url` for what is no address
 */
export function parsePageName(text: string, base: string | undefined): HubName | UrlName {
  const name = parseName(text);
  if (name.kind === "builtIn") throw notInPage(name.shown);
  if (name.kind !== "path") return name;
  try {
    return { kind: "url", shown: text, url: new URL(name.path, base) };
  } catch (error) {
    throw urlUnusable(text, error);
  }
}
