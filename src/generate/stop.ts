/** What may be shown after some text was looked at. */
export interface Released {
  /** Text that is certainly no part of a stop string. */
  readonly text: string;
  /** The stop string that occurred; `text` is what comes before it, and nothing follows. */
  readonly stop?: string;
}

/**
 * Looks for stop strings in a text that comes in pieces. Text that could be the beginning of one is held
 * back until it is known whether it is, so that no part of a stop string is ever shown.
 *
 * The first stop string to be complete ends the text, of several complete at once the longest: so the
 * outcome does not depend on how the text is cut into pieces. Each string is followed by an automaton
 * whose state is how many of its characters the text ends with (Knuth, Morris, Pratt 1977,
 * doi:10.1137/0206024), in time linear in the text.
 */
export class StopFinder {
  private readonly stops: readonly Automaton[];
  private held = "";
  /** Whether a stop string has occurred. */
  found = false;

  /** @param strings  none of them empty */
  constructor(strings: readonly string[]) {
    this.stops = strings.map((string) => new Automaton(string));
  }

  push(piece: string): Released {
    if (this.stops.length === 0) return { text: piece };
    let seen = this.held;
    // Whole characters, so that half of a surrogate pair is never held or matched.
    for (const character of piece) {
      seen += character;
      let longest: Automaton | undefined;
      for (const stop of this.stops) {
        if (stop.step(character) && stop.string.length > (longest?.string.length ?? 0)) longest = stop;
      }
      if (longest) {
        this.held = "";
        this.found = true;
        return { text: seen.slice(0, seen.length - longest.string.length), stop: longest.string };
      }
    }
    const heldLength = Math.max(...this.stops.map((stop) => stop.matchedLength));
    this.held = seen.slice(seen.length - heldLength);
    return { text: seen.slice(0, seen.length - heldLength) };
  }

  /** The text held back, where the whole text ends without a stop string. */
  end(): string {
    const rest = this.held;
    this.held = "";
    return rest;
  }
}

class Automaton {
  readonly string: string;
  private readonly characters: readonly string[];
  /** For each state, the length of the longest shorter beginning that the matched text ends with. */
  private readonly shorter: number[] = [0, 0];
  /** UTF-16 units in the first so many characters. */
  private readonly lengths: number[] = [0];
  private matched = 0;

  constructor(string: string) {
    this.string = string;
    this.characters = Array.from(string);
    for (const character of this.characters) this.lengths.push(this.lengths.at(-1)! + character.length);
    for (let i = 1, k = 0; i < this.characters.length; i++) {
      while (k > 0 && this.characters[i] !== this.characters[k]) k = this.shorter[k];
      if (this.characters[i] === this.characters[k]) k++;
      this.shorter.push(k);
    }
  }

  /** Takes a character. @returns whether the string is complete */
  step(character: string): boolean {
    while (this.matched > 0 && this.characters[this.matched] !== character) {
      this.matched = this.shorter[this.matched];
    }
    if (this.characters[this.matched] === character) this.matched++;
    return this.matched === this.characters.length;
  }

  /** Length, in UTF-16 units, of what the text so far ends with. */
  get matchedLength(): number {
    return this.lengths[this.matched];
  }
}
