import type { Architecture } from "./architecture.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { qwen3moe } from "./qwen3moe.ts";

const all = [llama, qwen2, qwen3, qwen3moe, gemma2, gemma3, phi3, gpt2];

/** Every architecture that Clavis runs, by its id in GGUF. */
export const architectures: ReadonlyMap<string, Architecture> = new Map(all.map((one) => [one.id, one]));
