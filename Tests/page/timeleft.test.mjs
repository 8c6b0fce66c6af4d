import assert from "node:assert/strict";
import test from "node:test";
import {duration, expectedGrowth, TimeLeft} from "../../Sources/InferenceServer/Resources/Page/timeleft.mjs";

/** Seconds of a text of n tokens by the law. */
const seconds = (a, b, tokens) => a * tokens + b * tokens * tokens / 2;
const near = (value, expected, share) =>
  assert.ok(Math.abs(value - expected) <= share * expected, `${value} instead of ${expected}`);

test("the law of attention is found from its beginning", () => {
  const [a, b, total] = [0.001, 4e-7, 32768];
  const left = new TimeLeft({growth: b / a});
  for (let done = 256; done <= 4096; done += 256) left.add(done, 100 + seconds(a, b, done));
  const expected = seconds(a, b, total) - seconds(a, b, 4096);
  near(left.left(total, 100 + seconds(a, b, 4096)), expected, 0.02);
  // A constant rate would say less than a third of it.
  assert.ok((total - 4096) / left.rate < expected / 3);
});

test("a wrong expectation is overruled by what is measured", () => {
  const [a, b, total] = [0.001, 4e-7, 32768];
  const left = new TimeLeft({growth: 20 * b / a});
  for (let done = 256; done <= 16384; done += 256) left.add(done, seconds(a, b, done));
  near(left.left(total, seconds(a, b, 16384)), seconds(a, b, total) - seconds(a, b, 16384), 0.1);
});

test("what comes from memory at once is no rate", () => {
  const left = new TimeLeft();
  left.add(7000, 0.1);
  assert.equal(left.left(8000, 0.2), null);
  left.add(7100, 10.1);
  near(left.left(8000, 10.1), 90, 0.01);
});

test("an earlier text's law holds until there is a measurement", () => {
  const left = new TimeLeft({law: {a: 0.01, b: 0}});
  near(left.left(1000, 5), 10, 1e-9);
  left.add(0, 5);
  near(left.left(1000, 6), 9, 1e-9);
  left.add(100, 7);
  near(left.left(1000, 7), 18, 1e-9);
});

test("the clock counts down between notes, but not for a piece that is late", () => {
  const left = new TimeLeft();
  left.add(0, 0);
  left.add(100, 2);
  const whole = left.left(1000, 2);
  near(whole, 18, 1e-9);
  near(left.left(1000, 3), 17, 1e-9);
  near(left.left(1000, 60), 14, 1e-9);
});

test("a machine that became slower is noticed", () => {
  const left = new TimeLeft();
  left.add(0, 0);
  for (let step = 1; step <= 10; step += 1) left.add(100 * step, step);
  for (let step = 1; step <= 10; step += 1) left.add(1000 + 100 * step, 10 + 4 * step);
  near(left.left(3000, 50), 40, 0.15);
});

test("the end is no time", () => {
  const left = new TimeLeft();
  left.add(0, 0);
  left.add(100, 1);
  assert.equal(left.left(100, 1), 0);
  assert.equal(left.left(50, 9), 0);
});

test("growth of a model's shape", () => {
  // SmolLM2-135M by its layers: 30 × 9 heads × 2 × 64 of 106 million weights.
  near(expectedGrowth(576), 30 * 9 * 128 / 106e6, 0.15);
  assert.equal(expectedGrowth(undefined), 0);
});

test("words", () => {
  assert.deepEqual([0, 0.2, 59, 60, 61.5, 3599, 3600, 7380].map(duration),
    ["0 s", "1 s", "59 s", "1 min", "1 min 2 s", "59 min 59 s", "1 h", "2 h 3 min"]);
});

test("what the server expects holds until there is a measurement", () => {
  const left = new TimeLeft();
  assert.equal(left.left(1000, 0), null);
  left.add(0, 1);
  left.expect(30, 1);
  near(left.left(1000, 6), 25, 1e-9);
  left.add(100, 11);
  near(left.left(1000, 11), 90, 1e-9);
});
