import { architecture } from "./architecture.ts";
import { positive } from "./parameters.ts";
import { rotary } from "./rotary.ts";

/**
 * Qwen3, dense. Source: Qwen3 Technical Report, arXiv:2505.09388.
 * Unlike qwen2: each head of q and k is normalised, and q, k, v have no bias.
 * T tokens, D width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
 */
export const qwen3 = architecture("qwen3", (g, model) => {
  const { heads: H, kvHeads: G, headWidth: E, width: D, feedForward: F, vocabulary: V } = model;
  const eps = model.number("attention.layer_norm_rms_epsilon", positive);
  const angles = rotary(model, { style: "halves" });

  let x = g.embed("token_embd", D, V); // [T, D]
  for (const layer of model.layerNames) {
    const a = g.rmsNorm(x, layer("attn_norm"), eps);
    const q = g.linear(a, layer("attn_q"), H * E).heads(H, E); // [T, H, E]
    const k = g.linear(a, layer("attn_k"), G * E).heads(G, E); // [T, G, E]
    const v = g.linear(a, layer("attn_v"), G * E).heads(G, E); // [T, G, E]
    const mixed = g.attention(
      g.rope(g.rmsNorm(q, layer("attn_q_norm"), eps), angles),
      g.rope(g.rmsNorm(k, layer("attn_k_norm"), eps), angles),
      v,
    );
    x = g.add(x, g.linear(mixed, layer("attn_output"), D)); // [T, D]

    const f = g.rmsNorm(x, layer("ffn_norm"), eps);
    const gated = g.swiglu(g.linear(f, layer("ffn_gate"), F), g.linear(f, layer("ffn_up"), F)); // [T, F]
    x = g.add(x, g.linear(gated, layer("ffn_down"), D));
  }
  x = g.rmsNorm(x, "output_norm", eps);
  return g.linear(x, g.firstOf("output", "token_embd"), V); // [T, V]
});
