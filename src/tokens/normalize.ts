/** No script needs more than a handful of marks on one letter; Unicode's stream-safe format allows 30. */
const longestMarks = 256;

const longRun = new RegExp(`(\\p{M}{${longestMarks + 1},})`, "u");

/**
 * A text in a Unicode normalization form. Runs of more than 256 combining marks stay as they are:
 * putting them into canonical order takes time quadratic in the run.
 */
export function normalized(text: string, form: "NFC" | "NFD"): string {
  if (!longRun.test(text)) return text.normalize(form);
  // Splitting by an expression with a group keeps the runs, at the odd places.
  return text
    .split(longRun)
    .map((piece, at) => (at % 2 === 0 ? piece.normalize(form) : piece))
    .join("");
}
