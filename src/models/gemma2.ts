import { architecture } from "./architecture.ts";
import { positive, wholeNumber } from "./parameters.ts";
import { rotary } from "./rotary.ts";

/**
 * Gemma 2. Source: Gemma 2: Improving Open Language Models at a Practical Size, arXiv:2408.00118.
 * Unlike llama: embeddings times √D, GeGLU, norms before and after each part, soft-capped attention
 * scores and logits, every other layer with a sliding window (the first has one). Weights of norms
 * are stored with the paper's "1 +" included.
 * T tokens, D width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
 */
export const gemma2 = architecture("gemma2", (g, model) => {
  const { heads: H, kvHeads: G, headWidth: E, width: D, feedForward: F, vocabulary: V } = model;
  const eps = model.number("attention.layer_norm_rms_epsilon", positive);
  const window = model.optional("attention.sliding_window", wholeNumber) ?? 4096;
  const softcap = model.optional("attn_logit_softcapping", positive) ?? 50;
  const finalCap = model.optional("final_logit_softcapping", positive) ?? 30;
  const angles = rotary(model, { style: "halves" });
  // The paper's table: queries are scaled by √E, but in the 27B model (46 layers) by √(D / H).
  const scale = 1 / Math.sqrt(model.layers === 46 ? D / H : E);

  let x = g.embed("token_embd", D, V, Math.fround(Math.sqrt(D))); // [T, D]
  for (const [i, layer] of model.layerNames.entries()) {
    const a = g.rmsNorm(x, layer("attn_norm"), eps);
    const q = g.linear(a, layer("attn_q"), H * E).heads(H, E); // [T, H, E]
    const k = g.linear(a, layer("attn_k"), G * E).heads(G, E); // [T, G, E]
    const v = g.linear(a, layer("attn_v"), G * E).heads(G, E); // [T, G, E]
    const mixed = g.attention(g.rope(q, angles), g.rope(k, angles), v, {
      scale,
      softcap,
      window: i % 2 === 0 ? window : 0,
    });
    const attended = g.linear(mixed, layer("attn_output"), D); // [T, D]
    x = g.add(x, g.rmsNorm(attended, layer("post_attention_norm"), eps));

    const f = g.rmsNorm(x, layer("ffn_norm"), eps);
    const gated = g.geglu(g.linear(f, layer("ffn_gate"), F), g.linear(f, layer("ffn_up"), F)); // [T, F]
    x = g.add(x, g.rmsNorm(g.linear(gated, layer("ffn_down"), D), layer("post_ffw_norm"), eps));
  }
  x = g.rmsNorm(x, "output_norm", eps);
  return g.softcap(g.linear(x, g.firstOf("output", "token_embd"), V), finalCap); // [T, V]
});
