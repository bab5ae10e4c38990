import { describe, expect, test } from "vitest";
import { proxyFor, proxyVariables } from "../../src/store/proxy.ts";

const chosen = (url: string, environment: Record<string, string>) =>
  proxyFor(new URL(url), proxyVariables(environment))?.url.href;

describe("the proxy for an address", () => {
  test.each([
    ["https://hub.example/x", { HTTPS_PROXY: "http://p:1" }, "http://p:1/"],
    ["https://hub.example/x", { https_proxy: "http://p:1" }, "http://p:1/"],
    ["https://hub.example/x", { https_proxy: "http://p:1", HTTPS_PROXY: "http://q:2" }, "http://p:1/"],
    ["https://hub.example/x", { https_proxy: "", HTTPS_PROXY: "http://q:2" }, undefined],
    ["https://hub.example/x", { HTTP_PROXY: "http://p:1" }, undefined],
    ["http://hub.example/x", { HTTP_PROXY: "http://p:1" }, "http://p:1/"],
    ["http://hub.example/x", { HTTPS_PROXY: "http://p:1" }, undefined],
    ["http://hub.example/x", { ALL_PROXY: "http://p:1" }, "http://p:1/"],
    ["https://hub.example/x", { all_proxy: "http://p:1", https_proxy: "http://q:2" }, "http://q:2/"],
    ["https://hub.example/x", { HTTPS_PROXY: "p.example:3128" }, "http://p.example:3128/"],
    ["https://hub.example/x", { HTTPS_PROXY: "https://p.example" }, "https://p.example/"],
    ["https://hub.example/x", {}, undefined],
  ])("%s with %o: %s", (url, environment, expected) => {
    expect(chosen(url, environment)).toBe(expected);
  });

  test.each([
    ["https://hub.example", "*", true],
    ["https://hub.example", "hub.example", true],
    ["https://HUB.example", "Hub.Example", true],
    ["https://cdn.hub.example", "hub.example", true],
    ["https://cdn.hub.example", ".hub.example", true],
    ["https://cdn.hub.example", "*.hub.example", true],
    ["https://otherhub.example", "hub.example", false],
    ["https://hub.example.org", "hub.example", false],
    ["https://hub.example", "a.example, hub.example", true],
    ["https://hub.example", "a.example hub.example", true],
    ["https://hub.example", "hub.example:443", true],
    ["https://hub.example:8443", "hub.example:443", false],
    ["https://10.1.2.3", "10.0.0.0/8", true],
    ["https://11.1.2.3", "10.0.0.0/8", false],
    ["https://10.1.2.3", "1.2.3", false],
    ["https://10.1.2.3", "10.1.2.3", true],
    ["https://10.1.2.3", "10.0.0.0/99", false],
    ["https://[::1]:8443", "[::1]:8443", true],
    ["https://[fd00::5]", "fd00::/8", true],
    ["https://hub.example", "", false],
    ["https://hub.example", ",", false],
  ])("%s is an exception by NO_PROXY=%s: %s", (url, list, excepted) => {
    for (const name of ["NO_PROXY", "no_proxy"])
      expect(chosen(url, { HTTPS_PROXY: "http://p:1", [name]: list }) === undefined).toBe(excepted);
  });

  test("user name and password are told apart from the address", () => {
    const [proxy, plain, alone] = ["http://me:p%40ss@p:1", "http://me:50%@p:1", "http://me@p:1"].map(
      (HTTPS_PROXY) => proxyFor(new URL("https://hub.example"), proxyVariables({ HTTPS_PROXY })),
    );
    expect(proxy?.url.href).toBe("http://p:1/");
    const told = [proxy, plain, alone].map((one) =>
      Buffer.from(one!.authorization!.slice("Basic ".length), "base64").toString(),
    );
    expect(told).toEqual(["me:p@ss", "me:50%", "me:"]);
  });

  test.each(["socks5://me:secret@p:1", "http://", "http://me:secret@p:99999", "::"])(
    "%s is refused without being repeated",
    (HTTPS_PROXY) => {
      const refused = () => proxyFor(new URL("https://hub.example"), proxyVariables({ HTTPS_PROXY }));
      expect(refused).toThrow("net.proxy");
      expect(refused).toThrow(/^(?!.*secret).*$/s);
    },
  );
});
