// Places in a text: lines, and offsets in bytes and in UTF-16 units.

/** Where each line of a text begins, in UTF-16 units. A break at the end begins no further line. */
export function lineStarts(text) {
  const starts = [0];
  for (let index = text.indexOf("\n"); index >= 0 && index + 1 < text.length; index = text.indexOf("\n", index + 1)) {
    starts.push(index + 1);
  }
  return starts;
}

/** The line, counted from 0, that an offset in UTF-16 units is in. */
export function lineAt(starts, offset) {
  let low = 0, high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= offset) low = middle; else high = middle - 1;
  }
  return low;
}

/**
 * Offsets in UTF-16 units, as this language counts, of offsets in bytes of UTF-8, as servers and files count. One within
 * a character is moved to its beginning; one behind the text is its end.
 *
 * @param {string} text
 * @param {number[]} bytes - in rising order
 */
export function utf16Offsets(text, bytes) {
  const found = [];
  let index = 0, count = 0;
  for (const wanted of bytes) {
    while (index < text.length) {
      const point = text.codePointAt(index);
      const length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
      if (count + length > wanted) break;
      count += length;
      index += point < 0x10000 ? 1 : 2;
    }
    found.push(index);
  }
  return found;
}

/** An offset in UTF-16 units as one in bytes of UTF-8. */
export function utf8Offset(text, offset) {
  return new TextEncoder().encode(text.slice(0, offset)).length;
}
