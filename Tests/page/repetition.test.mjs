import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";
import {cutLoop, findLoop} from "../../Sources/InferenceServer/Resources/Page/repetition.mjs";

const beginning = "Anne Elliot, with all her claims of birth, beauty, and mind, was to throw herself away. ";
const sentence = "The captain was at Lyme with his friends, and had been there since the beginning of the autumn, as she knew. ";

test("a sentence three times in a row is a circle, wherever it was cut", () => {
  for (const more of ["", sentence.slice(0, 40), sentence.slice(0, -1)]) {
    const text = beginning + sentence.repeat(4) + more, loop = findLoop(text);
    assert.equal(loop.length, sentence.length);
    assert.equal(cutLoop(text).length, loop.start + sentence.length);
    assert.ok(loop.start <= beginning.length, "the first of them is kept");
    assert.ok(loop.start > beginning.length - sentence.length);
  }
});

test("what is said twice, or is short, is none", () => {
  assert.equal(findLoop(beginning + sentence.repeat(2)), null);
  assert.equal(findLoop("no ".repeat(100)), null);
  assert.equal(findLoop(""), null);
});

test("a word again and again is one from 360 characters on", () => {
  assert.equal(findLoop(beginning + "no ".repeat(119)), null);
  assert.equal(findLoop(beginning + "no ".repeat(121)).length, 3);
});

test("a long part needs three times", () => {
  const part = readFileSync(new URL("../../Texts/persuasion.txt", import.meta.url), "utf8").slice(5000, 8000);
  assert.equal(findLoop(beginning + part.repeat(2)), null);
  assert.equal(findLoop(beginning + part.repeat(3)).length, part.length);
});

test("sentences with numbers that count are a circle; lists of numbers are none", () => {
  const counted = Array.from({length: 12}, (_, index) => `${index + 8}. ${sentence}\n`).join("");
  const loop = findLoop(beginning + "\n" + counted);
  assert.ok(loop, "found");
  assert.equal(cutLoop(beginning + "\n" + counted).match(/captain/g).length, 1);
  assert.equal(findLoop(Array.from({length: 400}, (_, index) => index).join(", ")), null);
});

test("novels and programs are none, wherever they end", () => {
  for (const name of ["persuasion.txt", "alice.txt", "bottle.py.txt"]) {
    const text = readFileSync(new URL("../../Texts/" + name, import.meta.url), "utf8");
    for (let end = 400; end < text.length; end += 977) {
      assert.equal(findLoop(text.slice(Math.max(0, end - 6000), end)), null, `${name} up to ${end}`);
    }
  }
});
