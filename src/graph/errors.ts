import type { Tensor } from "../bytes/gguf.ts";
import { ClavisError } from "../errors.ts";

export function missingTensor(name: string): ClavisError {
  return new ClavisError("model.tensor_missing", {
    found: `no tensor "${name}" in the file`,
    expected: "every tensor that the architecture needs",
    next: "The file is incomplete or of another architecture than it says; download or convert it again.",
  });
}

export function wrongShape(tensor: Tensor, expected: readonly number[]): ClavisError {
  return new ClavisError("model.tensor_shape", {
    found: `"${tensor.name}" of shape [${tensor.shape.join(", ")}]`,
    expected: `[${expected.join(", ")}], fastest dimension first`,
    next: "The file's tensors do not fit its own parameters; download or convert it again.",
  });
}
