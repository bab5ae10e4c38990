/** Bytes for people: 6273920 becomes "5.98 MiB". */
export function bytes(count: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = count;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : significant(value)} ${units[unit]}`;
}

/** Counts for people: 5770496 becomes "5.77 million". */
export function count(value: number): string {
  if (value >= 1e12) return `${significant(value / 1e12)} trillion`;
  if (value >= 1e9) return `${significant(value / 1e9)} billion`;
  if (value >= 1e6) return `${significant(value / 1e6)} million`;
  return String(value);
}

/** Three significant digits, without an exponent: 0.0123, 1.23, 123, 12346. */
export function significant(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const digits = 2 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.min(Math.max(digits, 0), 20));
}

export function milliseconds(value: number): string {
  return value >= 1000 ? `${significant(value / 1000)} s` : `${significant(value)} ms`;
}

/** How long ago something was, in words. */
export function ago(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ago`;
  return `${Math.floor(hours / 24)} days ago`;
}

/** Events per second, or nothing where too little happened to say. */
export function rate(events: number, ms: number): number | undefined {
  return events > 0 && ms > 0 ? (events / ms) * 1000 : undefined;
}

/** "1 token", "2 tokens". */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Rows as text, columns as wide as their widest cell. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i]))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/**
 * Text from a model or its file, safe to show on a terminal: control characters, which could move the cursor
 * or change settings, become visible signs. Line breaks and tabs stay.
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, (character) => {
    const code = character.codePointAt(0)!;
    if (code === 0x0a || code === 0x09) return character;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? "\u2421" : "\ufffd";
  });
}
