import { architecture } from "./architecture.ts";
import { positive } from "./parameters.ts";
import { rotary } from "./rotary.ts";

/**
 * Qwen2 and Qwen2.5, dense. Source: Qwen2 Technical Report, arXiv:2407.10671.
 * Unlike llama: q, k and v have a bias, and rotary pairs are the two halves of a head.
 * T tokens, D width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
 */
export const qwen2 = architecture("qwen2", (g, model) => {
  const { heads: H, kvHeads: G, headWidth: E, width: D, feedForward: F, vocabulary: V } = model;
  const eps = model.number("attention.layer_norm_rms_epsilon", positive);
  const angles = rotary(model, { style: "halves" });
  const bias = { bias: "required" } as const;

  let x = g.embed("token_embd", D, V); // [T, D]
  for (const layer of model.layerNames) {
    const a = g.rmsNorm(x, layer("attn_norm"), eps);
    const q = g.linear(a, layer("attn_q"), H * E, bias).heads(H, E); // [T, H, E]
    const k = g.linear(a, layer("attn_k"), G * E, bias).heads(G, E); // [T, G, E]
    const v = g.linear(a, layer("attn_v"), G * E, bias).heads(G, E); // [T, G, E]
    const mixed = g.attention(g.rope(q, angles), g.rope(k, angles), v);
    x = g.add(x, g.linear(mixed, layer("attn_output"), D)); // [T, D]

    const f = g.rmsNorm(x, layer("ffn_norm"), eps);
    const gated = g.swiglu(g.linear(f, layer("ffn_gate"), F), g.linear(f, layer("ffn_up"), F)); // [T, F]
    x = g.add(x, g.linear(gated, layer("ffn_down"), D));
  }
  x = g.rmsNorm(x, "output_norm", eps);
  return g.linear(x, g.firstOf("output", "token_embd"), V); // [T, V]
});
