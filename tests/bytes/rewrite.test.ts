import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { memorySink, type TensorInput, writeGguf } from "../../src/bytes/gguf-writer.ts";
import { openFile } from "../../src/bytes/node-file.ts";
import { read } from "../../src/bytes/source.ts";
import { describeShared, root, sharedPath } from "../support/shared.ts";

// Files by other writers, read and written again, are the same bytes: so nothing is lost in reading, and the
// writer lays things out as others do.

async function rewritten(path: string): Promise<Uint8Array> {
  const source = await openFile(path);
  const { metadata, tensors } = await openGguf(source);
  const sink = memorySink();
  await writeGguf(sink, {
    metadata: metadata.entries(),
    tensors: [...tensors.values()].map(
      (tensor): TensorInput => ({
        ...tensor,
        data: async function* () {
          yield await read(source, tensor.offset, tensor.bytes);
        },
      }),
    ),
  });
  await source.close();
  return sink.bytes();
}

async function expectSame(path: string): Promise<void> {
  const original = readFileSync(path);
  expect(Buffer.compare(await rewritten(path), original)).toBe(0);
}

test("the model that comes with the package", async () => {
  await expectSame(join(root, "models/clavis-stories-q8_0.gguf"));
});

const folder = "conformance/tokenizers";
describeShared(folder, "published vocabularies", () => {
  const files = existsSync(sharedPath(folder)) ? readdirSync(sharedPath(folder)) : [];
  test.each(files.filter((file) => file.endsWith(".gguf")))("%s", async (file) => {
    await expectSame(sharedPath(`${folder}/${file}`));
  });
});
