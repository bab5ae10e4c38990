import { architecture } from "./architecture.ts";
import { positive } from "./parameters.ts";
import { rotary } from "./rotary.ts";

/**
 * Qwen3, mixture of experts. Source: Qwen3 Technical Report, arXiv:2505.09388.
 * Unlike qwen3: the feed-forward part is U of X experts, chosen for each token by a router whose
 * probabilities are made to sum to one over the chosen.
 * T tokens, D width, H query heads, G key/value heads, E head width, M an expert's width, V vocabulary.
 */
export const qwen3moe = architecture("qwen3moe", (g, model) => {
  const { heads: H, kvHeads: G, headWidth: E, width: D, vocabulary: V } = model;
  const X = model.number("expert_count", { least: 1, most: 4096, whole: true });
  const U = model.number("expert_used_count", { least: 1, most: X, whole: true });
  const M = model.number("expert_feed_forward_length", { least: 1, most: 1 << 22, whole: true });
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
    const routes = g.route(g.linear(f, layer("ffn_gate_inp"), X), U, { normalize: true });
    const gate = g.expertLinear(f, routes, layer("ffn_gate_exps"), M, X); // [T, U, M]
    const up = g.expertLinear(f, routes, layer("ffn_up_exps"), M, X); // [T, U, M]
    const down = g.expertLinear(g.swiglu(gate, up), routes, layer("ffn_down_exps"), D, X); // [T, U, D]
    x = g.add(x, g.expertSum(down, routes));
  }
  x = g.rmsNorm(x, "output_norm", eps);
  return g.linear(x, g.firstOf("output", "token_embd"), V); // [T, V]
});
