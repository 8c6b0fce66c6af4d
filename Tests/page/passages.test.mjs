import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";
import {lineAt, lineStarts, utf16Offsets, utf8Offset} from "../../Sources/InferenceServer/Resources/Page/passages.mjs";

test("lines", () => {
  assert.deepEqual(lineStarts("a\nbc\n\nd\n"), [0, 2, 5, 6]);
  assert.deepEqual(lineStarts(""), [0]);
  const starts = lineStarts("a\nbc\n\nd\n");
  assert.deepEqual([0, 1, 2, 4, 5, 6, 7, 99].map(offset => lineAt(starts, offset)), [0, 0, 1, 1, 2, 3, 3, 3]);
});

test("bytes of UTF-8 are counted as servers do", () => {
  const text = "aé€😀b";
  // a 1, é 2, € 3, 😀 4 bytes and 2 units, b 1.
  assert.deepEqual(utf16Offsets(text, [0, 1, 3, 6, 10, 11, 50]), [0, 1, 2, 3, 5, 6, 6]);
  assert.deepEqual(utf16Offsets(text, [2, 4, 7, 9]), [1, 2, 3, 3], "within a character");
  for (const offset of [0, 1, 2, 3, 5, 6]) assert.deepEqual(utf16Offsets(text, [utf8Offset(text, offset)]), [offset]);
  const bytes = readFileSync(new URL("../../Texts/persuasion.txt", import.meta.url)), whole = bytes.toString("utf8");
  const [start, end] = utf16Offsets(whole, [100000, 100200]);
  assert.equal(whole.slice(start, end), bytes.subarray(100000, 100200).toString("utf8"));
});
