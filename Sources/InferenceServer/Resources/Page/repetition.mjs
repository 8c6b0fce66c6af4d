// Answers that go in circles: small models, and long answers of large ones, can repeat the same lines until they are
// cut off.

/** Shortest end of a text that is looked at as a repetition, in UTF-16 units: three times 120. */
const leastLength = 360;
/** How often a part must be there, one after the other. */
const leastTimes = 3;
/** How much of the end of a text is searched. */
const searched = 12000;
/** Letters in a part whose numbers may differ: what has fewer is a list of numbers, and no sentence. */
const leastLetters = 30;

/**
 * What a text repeats at its end.
 *
 * @param {string} text - an answer as far as it is written
 * @returns {{start: number, length: number} | null} where the repeated part is for the first time, in UTF-16 units,
 *   and how long it is; null where nothing repeats itself for 360 units and three times
 */
export function findLoop(text) {
  const offset = Math.max(0, text.length - searched);
  const end = text.slice(offset);
  if (end.length < leastLength) return null;
  const exact = period(end);
  if (exact) return {start: offset + end.length - exact.covered, length: exact.length};
  // "1. The same. 2. The same." is a circle as well.
  const {folded, positions} = foldNumbers(end);
  const counted = period(folded);
  if (!counted) return null;
  const unit = folded.slice(folded.length - counted.length);
  if ((unit.match(/\p{L}/gu) || []).length < leastLetters) return null;
  const first = folded.length - counted.covered;
  const start = positions[first], next = positions[first + counted.length];
  return {start: offset + start, length: next - start};
}

/**
 * The text without what it repeats at its end: up to the end of the first of the repeated parts.
 *
 * @param {string} text - an answer
 */
export function cutLoop(text) {
  const loop = findLoop(text);
  return loop ? text.slice(0, loop.start + loop.length) : text;
}

/** The smallest length of a part that the end of a text consists of, and how much of the text that end is. */
function period(text) {
  // Common prefixes of the reversed text and its own suffixes (Gusfield, Algorithms on Strings, section 1.4): the end
  // of the text has the period p as far back as p and the common prefix at p reach.
  const count = text.length, at = index => text.charCodeAt(count - 1 - index), common = new Int32Array(count);
  let left = 0, right = 0;
  for (let index = 1; index < count; index += 1) {
    let length = index < right ? Math.min(right - index, common[index - left]) : 0;
    while (index + length < count && at(length) === at(index + length)) length += 1;
    common[index] = length;
    if (index + length > right) { left = index; right = index + length; }
    const covered = index + length;
    if (covered >= leastLength && covered >= leastTimes * index) return {length: index, covered};
  }
  return null;
}

/** The text with each number as one digit, and where each of its units was. */
function foldNumbers(text) {
  let folded = "";
  const positions = [];
  for (let index = 0; index < text.length; index += 1) {
    const isDigit = /[0-9]/.test(text[index]);
    if (isDigit && folded.endsWith("0") && /[0-9]/.test(text[index - 1])) continue;
    folded += isDigit ? "0" : text[index];
    positions.push(index);
  }
  positions.push(text.length);
  return {folded, positions};
}
