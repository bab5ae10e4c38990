import { architecture } from "./architecture.ts";
import { positive, wholeNumber } from "./parameters.ts";
import { rotary } from "./rotary.ts";

/**
 * Llama 1 to 3 and Mistral. Source: Touvron et al. 2023, arXiv:2302.13971; Dubey et al. 2024,
 * arXiv:2407.21783 (rotary factors of Llama 3.1, in the tensor rope_freqs).
 * T tokens, D width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
 */
export const llama = architecture("llama", (g, model) => {
  const { heads: H, kvHeads: G, headWidth: E, width: D, feedForward: F, vocabulary: V } = model;
  const eps = model.number("attention.layer_norm_rms_epsilon", positive);
  const window = model.optional("attention.sliding_window", wholeNumber) ?? 0;
  const angles = rotary(model, { style: "adjacent", factors: model.small("rope_freqs") });

  let x = g.embed("token_embd", D, V); // [T, D]
  for (const layer of model.layerNames) {
    const a = g.rmsNorm(x, layer("attn_norm"), eps);
    const q = g.linear(a, layer("attn_q"), H * E).heads(H, E); // [T, H, E]
    const k = g.linear(a, layer("attn_k"), G * E).heads(G, E); // [T, G, E]
    const v = g.linear(a, layer("attn_v"), G * E).heads(G, E); // [T, G, E]
    const mixed = g.attention(g.rope(q, angles), g.rope(k, angles), v, { window });
    x = g.add(x, g.linear(mixed, layer("attn_output"), D)); // [T, D]

    const f = g.rmsNorm(x, layer("ffn_norm"), eps);
    const gated = g.swiglu(g.linear(f, layer("ffn_gate"), F), g.linear(f, layer("ffn_up"), F)); // [T, F]
    x = g.add(x, g.linear(gated, layer("ffn_down"), D));
  }
  x = g.rmsNorm(x, "output_norm", eps);
  return g.linear(x, g.firstOf("output", "token_embd"), V); // [T, V]
});
