import { architecture } from "./architecture.ts";
import { positive, wholeNumber } from "./parameters.ts";
import { rotary } from "./rotary.ts";

/**
 * Phi-3. Source: Phi-3 Technical Report, arXiv:2404.14219; long contexts by LongRoPE, arXiv:2402.13753.
 * Unlike llama: q, k, v are one matrix, gate and up are one matrix (gate first), and rotary pairs are
 * the two halves of a head. Beyond the original context the long rotary factors apply.
 * T tokens, D width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
 */
export const phi3 = architecture("phi3", (g, model) => {
  const { heads: H, kvHeads: G, headWidth: E, width: D, feedForward: F, vocabulary: V } = model;
  const eps = model.number("attention.layer_norm_rms_epsilon", positive);
  const original = model.optional("rope.scaling.original_context_length", wholeNumber) ?? model.contextLength;
  const window = model.optional("attention.sliding_window", wholeNumber) ?? 0;
  const factors = model.small(model.usedContext > original ? "rope_factors_long" : "rope_factors_short");
  const angles = {
    ...rotary(model, { style: "halves", factors }),
    magnitude: model.optional("rope.scaling.attn_factor", positive) ?? 1,
  };

  let x = g.embed("token_embd", D, V); // [T, D]
  for (const layer of model.layerNames) {
    const a = g.rmsNorm(x, layer("attn_norm"), eps);
    const qkv = g.linear(a, layer("attn_qkv"), (H + 2 * G) * E); // [T, (H + 2G) · E]
    const q = qkv.columns(0, H * E).heads(H, E); // [T, H, E]
    const k = qkv.columns(H * E, G * E).heads(G, E); // [T, G, E]
    const v = qkv.columns((H + G) * E, G * E).heads(G, E); // [T, G, E]
    const mixed = g.attention(g.rope(q, angles), g.rope(k, angles), v, { window });
    x = g.add(x, g.linear(mixed, layer("attn_output"), D)); // [T, D]

    const f = g.rmsNorm(x, layer("ffn_norm"), eps);
    const both = g.linear(f, layer("ffn_up"), 2 * F); // [T, 2F]
    x = g.add(x, g.linear(g.swiglu(both.columns(0, F), both.columns(F, F)), layer("ffn_down"), D));
  }
  x = g.rmsNorm(x, "output_norm", eps);
  return g.linear(x, g.firstOf("output", "token_embd"), V); // [T, V]
});
