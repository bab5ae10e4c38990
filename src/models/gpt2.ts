import { architecture } from "./architecture.ts";
import { positive } from "./parameters.ts";

/**
 * GPT-2. Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners.
 * Unlike llama: learned positions, layer norms with biases, one matrix for q, k and v, and a plain
 * feed-forward part with gelu (its tanh form).
 * T tokens, D width, H heads, E head width, F feed-forward width, V vocabulary.
 */
export const gpt2 = architecture("gpt2", (g, model) => {
  const { heads: H, headWidth: E, width: D, feedForward: F, vocabulary: V } = model;
  const eps = model.number("attention.layer_norm_epsilon", positive);
  const bias = { bias: "required" } as const;

  let x = g.embed("token_embd", D, V); // [T, D]
  x = g.addPosition(x, "position_embd", model.contextLength);
  for (const layer of model.layerNames) {
    const a = g.layerNorm(x, layer("attn_norm"), eps);
    const qkv = g.linear(a, layer("attn_qkv"), 3 * D, bias); // [T, 3D]
    const [q, k, v] = [0, 1, 2].map((part) => qkv.columns(part * D, D).heads(H, E)); // [T, H, E] each
    x = g.add(x, g.linear(g.attention(q, k, v), layer("attn_output"), D, bias)); // [T, D]

    const f = g.layerNorm(x, layer("ffn_norm"), eps);
    const inner = g.gelu(g.linear(f, layer("ffn_up"), F, bias)); // [T, F]
    x = g.add(x, g.linear(inner, layer("ffn_down"), D, bias));
  }
  x = g.layerNorm(x, "output_norm", eps);
  return g.linear(x, g.firstOf("output", "token_embd"), V); // [T, V]
});
