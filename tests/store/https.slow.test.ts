import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { pull } from "../../src/store/pull.ts";
import { clavis, describeBuilt, type Outcome } from "../cli/clavis.ts";
import { type Certificate, type CertificateOptions, certificate } from "../protect/certificates.ts";
import { HubServer, type Tls } from "./hub-server.ts";
import { ProxyServer } from "./proxy-server.ts";
import { emptyFolder, environmentOf, impatient, modelBytes, optionsFor } from "./store-folder.ts";

// Secure connections and proxies. Node reads authorities when it starts, so most of this goes through the command.

const authority = certificate({ subject: "Test authority", authority: {}, keyUsage: 0x04 });
const authorityFile = join(emptyFolder(), "authority.pem");
writeFileSync(authorityFile, authority.pem);

const tlsOf = ({ pem, privateKey }: Certificate): Tls => ({ cert: pem, key: privateKey });
const serverTls = (options: Partial<CertificateOptions> = {}) =>
  tlsOf(certificate({ subject: "server", issuer: authority, hosts: ["localhost"], ...options }));

const bytes = modelBytes(100_000);
const name = "hf.co/org/tiny/m-Q4_0.gguf";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function hubWith(tls: { hub?: Tls; bytes?: Tls }): Promise<HubServer> {
  const hub = await HubServer.start(tls);
  open.push(hub);
  hub.add("org/tiny/m-Q4_0.gguf", bytes);
  return hub;
}

async function proxyServer(): Promise<ProxyServer> {
  const proxy = await ProxyServer.start();
  open.push(proxy);
  return proxy;
}

const noProxies = Object.fromEntries(
  ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((one) => [
    [one, undefined],
    [one.toLowerCase(), undefined],
  ]),
);

function pullFrom(hub: HubServer, env: Record<string, string> = {}): Promise<Outcome> {
  const known = { NODE_EXTRA_CA_CERTS: authorityFile };
  return clavis(["pull", name], {
    env: { ...environmentOf(hub, emptyFolder()), ...noProxies, ...known, ...env },
  });
}

describeBuilt("https", () => {
  const tls = { hub: serverTls(), bytes: serverTls() };

  test("a hub whose authority is known is used, the token at its own host alone", async () => {
    const hub = await hubWith(tls);
    hub.token = "hf_secret";
    const { code, stdout } = await pullFrom(hub, { HF_TOKEN: "hf_secret" });
    expect(code).toBe(0);
    expect(readFileSync(stdout.trim()).equals(bytes)).toBe(true);
    const stages = hub.seen.filter(({ authorization }) => authorization).map(({ stage }) => stage);
    expect(stages).toEqual(["list", "head"]);
    expect(hub.seen.some(({ stage }) => stage === "bytes")).toBe(true);
  });

  test.each([
    ["an unknown authority", {}, "", /does not know.*\n.*\n.*NODE_EXTRA_CA_CERTS/],
    ["itself for an authority", { issuer: undefined }, authorityFile, /does not know/],
    ["a time that is over", { to: new Date("2025-02-01") }, authorityFile, /has expired.*\n.*\n.*clock/],
    ["a time to come", { from: new Date("2034-01-01") }, authorityFile, /is not valid yet/],
    ["another host", { hosts: ["other.example"] }, authorityFile, /is for another host/],
  ])("a certificate with %s is refused at once, and nothing was sent", async (_, options, known, message) => {
    const hub = await hubWith({ hub: serverTls(options), bytes: tls.bytes });
    const start = performance.now();
    const { code, stderr } = await pullFrom(hub, { HF_TOKEN: "hf_secret", NODE_EXTRA_CA_CERTS: known });
    expect(code).toBe(1);
    expect(stderr).toContain("net.certificate");
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("secret");
    expect(hub.seen).toEqual([]);
    // No waits before further tries.
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("a certificate of the other host is looked at as well", async () => {
    const hub = await hubWith({ hub: tls.hub, bytes: serverTls({ hosts: ["other.example"] }) });
    const { code, stderr } = await pullFrom(hub);
    expect(code).toBe(1);
    expect(stderr).toContain(new URL(hub.bytesOrigin).host);
    expect(stderr).toContain("net.certificate");
  });

  test("a step down to http is refused", async () => {
    const hub = await hubWith({ hub: tls.hub });
    const { code, stderr } = await pullFrom(hub, { HF_TOKEN: "hf_secret" });
    expect(code).toBe(1);
    expect(stderr).toContain("net.redirect");
    expect(hub.seen.map(({ stage }) => stage)).toEqual(["list", "head"]);
  });

  test("through a proxy with a password, of which nothing is shown", async () => {
    const hub = await hubWith(tls);
    const proxy = await proxyServer();
    proxy.credentials = "me:p@ss";
    const { host } = new URL(hub.endpoint);
    const withPassword = `http://me:p%40ss@${proxy.host}`;
    for (const [variable, value] of [
      ["HTTPS_PROXY", withPassword],
      ["https_proxy", withPassword],
      ["ALL_PROXY", withPassword],
      ["all_proxy", withPassword],
    ]) {
      const { code, stderr } = await pullFrom(hub, { [variable]: value, HF_TOKEN: "hf_secret" });
      expect(stderr).toContain("downloaded");
      expect(code).toBe(0);
      expect(proxy.asked.map(({ method }) => method)).not.toContain("HEAD");
      expect(proxy.asked.map(({ target }) => target)).toContain(host);
      // Inside of the tunnel the token goes to the hub; the proxy and the other host see none.
      expect(proxy.asked.filter(({ authorization }) => authorization)).toEqual([]);
      expect(hub.seen.filter(({ stage, authorization }) => stage === "bytes" && authorization)).toEqual([]);
      proxy.asked.length = 0;
    }
    const except = await pullFrom(hub, { HTTPS_PROXY: withPassword, NO_PROXY: "localhost" });
    expect(except.code).toBe(0);
    expect(proxy.asked).toEqual([]);
  });

  test("through a proxy that speaks https", async () => {
    const hub = await hubWith(tls);
    const inner = await proxyServer();
    const { createServer } = await import("node:tls");
    const { connect } = await import("node:net");
    const outer = createServer({ ...serverTls() }, (socket) => {
      const port = Number(inner.host.split(":")[1]);
      const tunnel = connect(port, "127.0.0.1", () => void socket.pipe(tunnel).pipe(socket));
      for (const one of [tunnel, socket]) one.on("error", () => {});
    });
    await new Promise<void>((resolve) => outer.listen(0, "127.0.0.1", resolve));
    const { port } = outer.address() as { port: number };
    const { code } = await pullFrom(hub, { HTTPS_PROXY: `https://localhost:${port}` });
    outer.close();
    expect(code).toBe(0);
    expect(inner.asked.map(({ method }) => method)).toContain("CONNECT");
  });
});

describe("http through a proxy", () => {
  const through = (hub: HubServer, proxy: ProxyServer, more: Record<string, string> = {}) =>
    pull(name, {
      ...optionsFor(hub, emptyFolder(), {
        HTTP_PROXY: `http://${proxy.host}`,
        NO_PROXY: "",
        no_proxy: "",
        ...more,
      }),
      patience: { ...impatient, stallMs: 5000 },
    });

  test("is asked of the proxy itself, the token sent to the hub's host alone", async () => {
    const hub = await hubWith({});
    const proxy = await proxyServer();
    const port = Number(new URL(hub.endpoint).port);
    proxy.routes.set("hub.example:80", port);
    hub.token = "hf_secret";
    const environment = { HF_ENDPOINT: "http://hub.example", HF_TOKEN: "hf_secret" };
    const { path } = await through(hub, proxy, environment);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    const withToken = proxy.asked.filter(({ authorization }) => authorization);
    expect(withToken.map(({ method }) => method)).toEqual(["GET", "HEAD"]);
    for (const { target } of withToken) expect(target).toMatch(/^http:\/\/hub\.example\//);
    expect(proxy.asked.filter(({ method }) => method === "CONNECT")).toEqual([]);
    expect(proxy.asked.length).toBe(hub.seen.length);
  });

  test("that wants a password, says so at once and shows none", async () => {
    const hub = await hubWith({});
    const proxy = await proxyServer();
    proxy.credentials = "me:right";
    const patience = { ...impatient, tries: 1000 };
    for (const scheme of ["http", "https"]) {
      const variable = `${scheme}_proxy`;
      const ask = (value: string) =>
        pull(name, {
          ...optionsFor(hub, emptyFolder(), {
            HF_ENDPOINT: `${scheme}://hub.example`,
            NO_PROXY: "",
            no_proxy: "",
            [variable]: value,
          }),
          patience,
        });
      await expect(ask(`http://${proxy.host}`)).rejects.toMatchObject({
        code: "net.proxy",
        found: `the proxy "${proxy.host}" answered 407 for "hub.example"`,
        next: expect.stringContaining(`${variable.toUpperCase()}=http://USER:PASSWORD@${proxy.host}`),
      });
      await expect(ask(`http://me:wrong@${proxy.host}`)).rejects.toThrow(/net\.proxy(?!.*wrong).*Check/s);
    }
    expect(hub.seen).toEqual([]);
  });

  test("that keeps silent, can be left at once", async () => {
    const hub = await hubWith({});
    const proxy = await proxyServer();
    proxy.silent = true;
    const options = optionsFor(hub, emptyFolder(), {
      HF_ENDPOINT: "https://hub.example",
      ALL_PROXY: proxy.host,
      NO_PROXY: "",
      no_proxy: "",
    });
    const stop = new AbortController();
    const pulling = pull(name, {
      ...options,
      patience: { ...impatient, stallMs: 60_000 },
      signal: stop.signal,
    });
    while (proxy.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const start = performance.now();
    stop.abort(new Error("enough"));
    await expect(pulling).rejects.toThrow("enough");
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("that lets nobody through, or fails, or is not there, is named", async () => {
    const hub = await hubWith({});
    const proxy = await proxyServer();
    for (const scheme of ["http", "https"]) {
      const ask = () =>
        pull(name, {
          ...optionsFor(hub, emptyFolder(), {
            HF_ENDPOINT: `${scheme}://hub.example`,
            ALL_PROXY: `me:secret@${proxy.host}`,
            NO_PROXY: "",
            no_proxy: "",
          }),
          patience: { ...impatient, tries: 3 },
        });
      proxy.asked.length = 0;
      proxy.silent = true;
      await expect(ask()).rejects.toMatchObject({
        code: "net.unreachable",
        found: expect.stringContaining(`through the proxy "${proxy.host}"`),
      });
      expect(proxy.asked.length).toBe(3);
      proxy.silent = false;
    }
    proxy.status = 502;
    proxy.asked.length = 0;
    const refusedBy = pull(name, {
      ...optionsFor(hub, emptyFolder(), {
        HF_ENDPOINT: "https://hub.example",
        ALL_PROXY: `me:secret@${proxy.host}`,
        NO_PROXY: "",
        no_proxy: "",
      }),
      patience: { ...impatient, tries: 3 },
    });
    await expect(refusedBy).rejects.toMatchObject({
      code: "net.unreachable",
      found: `the proxy "${proxy.host}" answered 502 for "hub.example"`,
    });
    expect(proxy.asked.length).toBe(3);
    const { host } = proxy;
    await proxy.close();
    open.pop();
    for (const scheme of ["http", "https"]) {
      const ask = pull(name, {
        ...optionsFor(hub, emptyFolder(), {
          HF_ENDPOINT: `${scheme}://hub.example`,
          ALL_PROXY: `http://me:secret@${host}`,
          NO_PROXY: "",
          no_proxy: "",
        }),
      });
      await expect(ask).rejects.toMatchObject({
        code: "net.unreachable",
        found: expect.stringMatching(new RegExp(`through the proxy "${host}" .*ECONNREFUSED`)),
        next: expect.stringContaining("ALL_PROXY"),
      });
      await expect(ask).rejects.toThrow(/^(?!.*secret).*$/s);
    }
  });
});
