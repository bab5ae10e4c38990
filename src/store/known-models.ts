/** A well-known name, and what it stands for on the Hugging Face hub. */
export interface KnownModel {
  readonly repo: string;
  /** Taken where the repository has it; otherwise the choice of `quants.ts`. */
  readonly quant: string;
}

/**
 * Short names of instruction-tuned models whose architecture is among ours. Their makers' own repositories
 * where those have GGUF files, then ggml-org's, then long-standing ones of others; each repository, and that it
 * has this quantisation, was found in public projects that download it. A family's name alone stands for its
 * first entry.
 */
export const knownModels: Readonly<Record<string, KnownModel>> = {
  "qwen3:0.6b": { repo: "Qwen/Qwen3-0.6B-GGUF", quant: "Q8_0" },
  "qwen3:1.7b": { repo: "Qwen/Qwen3-1.7B-GGUF", quant: "Q8_0" },
  "qwen3:4b": { repo: "Qwen/Qwen3-4B-GGUF", quant: "Q4_K_M" },
  "qwen3:4b-instruct": { repo: "unsloth/Qwen3-4B-Instruct-2507-GGUF", quant: "Q4_K_M" },
  "qwen3:8b": { repo: "Qwen/Qwen3-8B-GGUF", quant: "Q4_K_M" },
  "qwen3:14b": { repo: "Qwen/Qwen3-14B-GGUF", quant: "Q4_K_M" },
  "qwen3:32b": { repo: "Qwen/Qwen3-32B-GGUF", quant: "Q4_K_M" },
  "qwen3:30b-a3b": { repo: "Qwen/Qwen3-30B-A3B-GGUF", quant: "Q4_K_M" },
  "qwen3-coder:30b": { repo: "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF", quant: "Q4_K_M" },
  "qwen2.5:0.5b": { repo: "Qwen/Qwen2.5-0.5B-Instruct-GGUF", quant: "Q4_K_M" },
  "qwen2.5:1.5b": { repo: "Qwen/Qwen2.5-1.5B-Instruct-GGUF", quant: "Q4_K_M" },
  "qwen2.5:3b": { repo: "Qwen/Qwen2.5-3B-Instruct-GGUF", quant: "Q4_K_M" },
  "qwen2.5:7b": { repo: "Qwen/Qwen2.5-7B-Instruct-GGUF", quant: "Q4_K_M" },
  "qwen2.5-coder:1.5b": { repo: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", quant: "Q4_K_M" },
  "qwen2.5-coder:7b": { repo: "Qwen/Qwen2.5-Coder-7B-Instruct-GGUF", quant: "Q4_K_M" },
  "llama3.2:1b": { repo: "bartowski/Llama-3.2-1B-Instruct-GGUF", quant: "Q4_K_M" },
  "llama3.2:3b": { repo: "bartowski/Llama-3.2-3B-Instruct-GGUF", quant: "Q4_K_M" },
  "llama3.1:8b": { repo: "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", quant: "Q4_K_M" },
  "gemma3:1b": { repo: "ggml-org/gemma-3-1b-it-GGUF", quant: "Q4_K_M" },
  "gemma3:270m": { repo: "ggml-org/gemma-3-270m-it-GGUF", quant: "Q8_0" },
  "gemma3:4b": { repo: "ggml-org/gemma-3-4b-it-GGUF", quant: "Q4_K_M" },
  "gemma3:12b": { repo: "ggml-org/gemma-3-12b-it-GGUF", quant: "Q4_K_M" },
  "gemma2:2b": { repo: "bartowski/gemma-2-2b-it-GGUF", quant: "Q4_K_M" },
  "gemma2:9b": { repo: "bartowski/gemma-2-9b-it-GGUF", quant: "Q4_K_M" },
  "smollm2:360m": { repo: "HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", quant: "Q8_0" },
  "smollm2:135m": { repo: "bartowski/SmolLM2-135M-Instruct-GGUF", quant: "Q8_0" },
  "smollm2:1.7b": { repo: "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", quant: "Q4_K_M" },
  "mistral:7b": { repo: "bartowski/Mistral-7B-Instruct-v0.3-GGUF", quant: "Q4_K_M" },
  "deepseek-r1:1.5b": { repo: "unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF", quant: "Q4_K_M" },
  "deepseek-r1:7b": { repo: "unsloth/DeepSeek-R1-Distill-Qwen-7B-GGUF", quant: "Q4_K_M" },
  "deepseek-r1:8b": { repo: "unsloth/DeepSeek-R1-0528-Qwen3-8B-GGUF", quant: "Q4_K_M" },
  "phi4-mini:3.8b": { repo: "unsloth/Phi-4-mini-instruct-GGUF", quant: "Q4_K_M" },
  "phi4:14b": { repo: "bartowski/phi-4-GGUF", quant: "Q4_K_M" },
  "phi3.5:3.8b": { repo: "bartowski/Phi-3.5-mini-instruct-GGUF", quant: "Q4_K_M" },
  "tinyllama:1.1b": { repo: "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", quant: "Q4_K_M" },
};
