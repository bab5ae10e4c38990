import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { endpointOf, type Hub } from "./client.ts";
import { type ProxyVariables, proxyVariables } from "./proxy.ts";

/** Where models come from and where they are kept, as the environment says. */
export interface Settings extends Hub {
  readonly offline: boolean;
  /** The folder that Hugging Face's tools share: models--owner--name/{blobs,refs,snapshots}. */
  readonly hubFolder: string;
  /** Ours: files from other addresses, and what is remembered of files. */
  readonly ownFolder: string;
  readonly proxies: ProxyVariables;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME with the meanings and
 * the order that huggingface_hub gives them, and the variables of proxies. A token may also be in the file `token` of HF_HOME, where
 * `hf auth login` puts it.
 *
 * @param readToken  gives the text of a token file, or nothing where there is none
 * @throws ClavisError `net.endpoint`
 */
export function settingsFrom(
  environment: Environment = process.env,
  readToken: (path: string) => string | undefined = () => undefined,
): Settings {
  const set = (name: string) => environment[name]?.trim() || undefined;
  const cache = set("XDG_CACHE_HOME") ?? join(home(), ".cache");
  const hfHome = tilde(set("HF_HOME")) ?? join(cache, "huggingface");
  return {
    endpoint: endpointOf(set("HF_ENDPOINT") ?? "https://huggingface.co"),
    token: set("HF_TOKEN") ?? readToken(tilde(set("HF_TOKEN_PATH")) ?? join(hfHome, "token")),
    offline: /^(1|true|yes|on)$/i.test(set("HF_HUB_OFFLINE") ?? ""),
    hubFolder: tilde(set("HF_HUB_CACHE") ?? set("HUGGINGFACE_HUB_CACHE")) ?? join(hfHome, "hub"),
    ownFolder: join(cache, "clavis"),
    proxies: proxyVariables(environment),
  };
}

/** A service may run without a home. */
function home(): string {
  try {
    return homedir();
  } catch {
    return tmpdir();
  }
}

const tilde = (path: string | undefined) => path?.replace(/^~(?=[/\\]|$)/, () => home());
