// How long the rest of a text takes to read, from what was measured so far.

/** What the model's expected growth counts as: the spread of depths of so many tokens that were read. */
const priorTokens = 1024;
/** The end of what was measured tells how fast the machine is at the moment; so many seconds of it. */
const recentSeconds = 10;

/**
 * Seconds that are left, where a token costs the more the more tokens stand before it.
 *
 * The law is that of attention: a token at depth n costs a + b n, so that a text of n tokens costs a n + b n² / 2. Both
 * are fitted to what was measured, by least squares weighted with tokens. The first note is where the measuring begins:
 * what was read before it may have come from memory.
 */
export class TimeLeft {
  /**
   * @param {object} [expected]
   * @param {number} [expected.growth] - b / a, as the model's shape has it expected
   * @param {{a: number, b: number}} [expected.law] - seconds that an earlier text took, used until two notes are there
   */
  constructor({growth = 0, law = null} = {}) {
    this.growth = growth;
    this.known = law;
    this.told = null;
    this.start = null;
    this.last = null;
    this.pieces = [];
  }

  /**
   * Notes that `done` tokens were read at a time in seconds.
   */
  add(done, seconds) {
    if (!this.last) { this.start = this.last = {done, seconds}; return; }
    const tokens = done - this.last.done, time = seconds - this.last.seconds;
    if (tokens <= 0 || time <= 0) return;
    this.pieces.push({tokens, time, middle: this.last.done + tokens / 2});
    this.last = {done, seconds};
  }

  /**
   * Notes what the server expects of the rest, for as long as nothing was measured here.
   *
   * @param {number} left - seconds
   * @param {number} seconds - the time
   */
  expect(left, seconds) { this.told = {left, seconds}; }

  /** Tokens a second since the first note; null before the second one. */
  get rate() {
    return this.pieces.length ? (this.last.done - this.start.done) / (this.last.seconds - this.start.seconds) : null;
  }

  /** What a token costs in seconds: `a` at the beginning, `b` more for each one before it; null while unknown. */
  get law() {
    if (!this.pieces.length) return this.known;
    let weight = 0, depth = 0, squared = 0, times = 0, timesByDepth = 0;
    for (const {tokens, time, middle} of this.pieces) {
      weight += tokens;
      depth += tokens * middle;
      squared += tokens * (middle * middle + tokens * tokens / 12);
      times += time;
      timesByDepth += time * middle;
    }
    if (!this.growth) return {a: times / weight, b: 0};
    // The expectation is one more equation, b - growth a = 0, with the weight of what it counts as.
    const prior = priorTokens ** 3 / 12;
    const aa = weight + prior * this.growth ** 2, ab = depth - prior * this.growth, bb = squared + prior;
    const determinant = aa * bb - ab * ab;
    const a = (times * bb - timesByDepth * ab) / determinant, b = (timesByDepth * aa - times * ab) / determinant;
    // Where one would be negative, it is zero and the other one is fitted alone.
    if (a < 0) return {a: 0, b: timesByDepth / bb};
    return b > 0 ? {a, b} : {a: times / weight, b: 0};
  }

  /**
   * Seconds from now until `total` tokens are read; null before anything is known.
   *
   * @param {number} now - the time in seconds, by the clock of the notes
   */
  left(total, now) {
    const law = this.law;
    if (!law) return this.told ? Math.max(0, this.told.left - (now - this.told.seconds)) : null;
    const done = this.last ? this.last.done : 0, rest = Math.max(0, total - done);
    const estimate = this.pace(law) * (law.a * rest + law.b * rest * (total + done) / 2);
    if (!this.last) return estimate;
    // A piece that takes longer than those before it does not bring the end nearer.
    const usual = this.pieces.length ? 2 * this.pieces.at(-1).time : Infinity;
    return Math.max(0, estimate - Math.min(now - this.last.seconds, usual));
  }

  /** How much longer the last pieces took than the law says: other work on the machine slows it down. */
  pace({a, b}) {
    let measured = 0, expected = 0;
    for (let index = this.pieces.length - 1; index >= 0 && measured < recentSeconds; index -= 1) {
      const {tokens, time, middle} = this.pieces[index];
      measured += time;
      expected += tokens * (a + b * middle);
    }
    return expected > 0 ? Math.min(4, Math.max(0.25, measured / expected)) : 1;
  }
}

/**
 * b / a of a transformer of usual shape: multiply-adds of attention for one more key, as a share of those of the
 * weights. With 12 d² weights and 2 d of attention in each layer of width d that is 1 / (6 d).
 *
 * @param {number} width - of embeddings; 0 where it is not known
 */
export function expectedGrowth(width) {
  return width > 0 ? 1 / (6 * width) : 0;
}

/** Seconds in words: "42 s", "1 min 5 s", "2 h 3 min". */
export function duration(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 60) return whole + " s";
  if (whole < 3600) return Math.floor(whole / 60) + " min" + (whole % 60 ? " " + (whole % 60) + " s" : "");
  const minutes = Math.round(whole / 60);
  return Math.floor(minutes / 60) + " h" + (minutes % 60 ? " " + (minutes % 60) + " min" : "");
}
