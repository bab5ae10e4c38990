import { architecture } from "./architecture.ts";
import { positive, wholeNumber } from "./parameters.ts";
import { rotary } from "./rotary.ts";

/**
 * Gemma 3, text. Source: Gemma 3 Technical Report, arXiv:2503.19786.
 * Unlike gemma2: each head of q and k is normalised, nothing is soft-capped by default, and five
 * layers of six have a sliding window and a rotary base of 10,000 of their own.
 * T tokens, D width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
 */
export const gemma3 = architecture("gemma3", (g, model) => {
  const { heads: H, kvHeads: G, headWidth: E, width: D, feedForward: F, vocabulary: V } = model;
  const eps = model.number("attention.layer_norm_rms_epsilon", positive);
  const window = model.optional("attention.sliding_window", wholeNumber) ?? 0;
  const finalCap = model.optional("final_logit_softcapping", positive);
  const everyNth =
    model.optional("attention.sliding_window_pattern", { least: 1, most: 1024, whole: true }) ?? 6;
  const global = rotary(model, { style: "halves", defaultBase: 1e6 });
  const local = rotary(model, {
    style: "halves",
    base: model.optional("rope.local.freq_base", positive) ?? 10000,
    name: "rope.local",
  });
  // The report's table: queries are scaled by √E, but in the 27B model (62 layers) by √(D / H).
  const scale = 1 / Math.sqrt(model.layers === 62 ? D / H : E);

  let x = g.embed("token_embd", D, V, Math.fround(Math.sqrt(D))); // [T, D]
  for (const [i, layer] of model.layerNames.entries()) {
    const slides = window > 0 && i % everyNth < everyNth - 1;
    const angles = slides ? local : global;
    const a = g.rmsNorm(x, layer("attn_norm"), eps);
    const q = g.linear(a, layer("attn_q"), H * E).heads(H, E); // [T, H, E]
    const k = g.linear(a, layer("attn_k"), G * E).heads(G, E); // [T, G, E]
    const v = g.linear(a, layer("attn_v"), G * E).heads(G, E); // [T, G, E]
    const mixed = g.attention(
      g.rope(g.rmsNorm(q, layer("attn_q_norm"), eps), angles),
      g.rope(g.rmsNorm(k, layer("attn_k_norm"), eps), angles),
      v,
      { scale, window: slides ? window : 0 },
    );
    const attended = g.linear(mixed, layer("attn_output"), D); // [T, D]
    x = g.add(x, g.rmsNorm(attended, layer("post_attention_norm"), eps));

    const f = g.rmsNorm(x, layer("ffn_norm"), eps);
    const gated = g.geglu(g.linear(f, layer("ffn_gate"), F), g.linear(f, layer("ffn_up"), F)); // [T, F]
    x = g.add(x, g.rmsNorm(g.linear(gated, layer("ffn_down"), D), layer("post_ffw_norm"), eps));
  }
  x = g.rmsNorm(x, "output_norm", eps);
  const logits = g.linear(x, g.firstOf("output", "token_embd"), V); // [T, V]
  return finalCap ? g.softcap(logits, finalCap) : logits;
});
