// The document beside the conversation, with its lines.

import {$, announce, element} from "./dom.mjs";
import {lineAt, lineStarts, utf16Offsets, utf8Offset} from "./passages.mjs";

/** Lines that are put on the page together, when they come into sight. */
const chunkLines = 100;

/** Shows one document at a time. */
export class DocumentPane {
  /** @param {import("./documents.mjs").Documents} documents */
  constructor(documents, {opened, closed}) {
    this.documents = documents;
    this.opened = opened;
    this.closed = closed;
    this.document = null;
    this.text = "";
    this.lines = $("pane-lines");
    this.observer = new IntersectionObserver(
      entries => entries.filter(entry => entry.isIntersecting).forEach(entry => this.fill(entry.target)),
      {root: $("pane-text"), rootMargin: "1500px"});
    $("pane-close").onclick = () => this.close();
    $("pane-find").oninput = () => this.find(0);
    $("pane-find").onkeydown = event => {
      if (event.key === "Enter") { event.preventDefault(); this.find(event.shiftKey ? -1 : 1); }
    };
    $("pane-next").onclick = () => this.find(1);
    $("pane-previous").onclick = () => this.find(-1);
  }

  get isOpen() { return this.document !== null; }

  /**
   * Opens a document at its beginning, or where it was left.
   *
   * @returns {Promise<boolean>} whether this browser has its text
   */
  async open(document) {
    if (this.document === document) return this.text !== "";
    const text = (await this.documents.text(document)) ?? "";
    this.document = document;
    this.text = text;
    this.starts = lineStarts(text);
    this.marked = null;
    $("pane-name").textContent = document.name;
    $("pane-find").value = $("pane-count").textContent = "";
    $("pane-missing").hidden = text !== "";
    $("pane-search").hidden = text === "";
    this.layOut();
    this.opened();
    return text !== "";
  }

  close() {
    if (!this.document) return;
    this.document = null;
    this.text = "";
    this.observer.disconnect();
    this.lines.replaceChildren();
    this.closed();
  }

  /**
   * Opens a document at a passage, scrolls there and marks it.
   *
   * @param {string} documentName - the document's name; of several with one name, the one that was added last
   * @param {number} start - where the passage begins, in bytes of UTF-8 from the beginning of the text
   * @param {number} end - where it ends, likewise: the first byte behind it
   * @returns {Promise<boolean>} whether the document is there, with its text, and has such a passage
   */
  async showPassage(documentName, start, end) {
    const document = this.document?.name === documentName && this.text
      ? this.document : this.documents.list.find(other => other.name === documentName && !other.isForeign);
    if (!document || !(start >= 0) || !(end > start) || !(await this.open(document))) return false;
    const [first, last] = utf16Offsets(this.text, [start, end]);
    if (first >= last) return false;
    this.mark(first, last);
    announce(`Line ${lineAt(this.starts, first) + 1} of ${document.name}: ${this.text.slice(first, last).slice(0, 200)}`);
    return true;
  }

  /** Marks a passage, in UTF-16 units, and scrolls to it. */
  mark(first, last) {
    const before = this.marked;
    this.marked = {first, last};
    for (const chunk of this.chunks) {
      const touches = range => range && range.first < chunk.end && range.last > chunk.start;
      if (touches(this.marked) || (touches(before) && chunk.element.childElementCount)) this.fill(chunk.element, true);
    }
    this.lines.querySelector("mark")?.scrollIntoView({block: "center"});
    // Chunks above take the heights that they have once they are filled; what was guessed moves the passage.
    requestAnimationFrame(() => this.lines.querySelector("mark")?.scrollIntoView({block: "center"}));
  }

  /** Empty chunks of about the right height, so that the scroll bar tells where one is. */
  layOut() {
    this.observer.disconnect();
    this.chunks = [];
    for (let line = 0; line < this.starts.length && this.text; line += chunkLines) {
      const end = Math.min(line + chunkLines, this.starts.length);
      const chunk = {
        line, count: end - line, start: this.starts[line], end: this.starts[end] ?? this.text.length,
        element: element("div", {class: "chunk"}),
      };
      chunk.element.style.minHeight = `${chunk.count * 1.5}em`;
      this.chunks.push(chunk);
    }
    this.lines.replaceChildren(...this.chunks.map(chunk => chunk.element));
    this.lines.style.setProperty("--digits", String(this.starts.length).length);
    $("pane-text").scrollTop = 0;
    this.chunks.forEach(chunk => this.observer.observe(chunk.element));
  }

  fill(target, isAnew = false) {
    if (target.childElementCount && !isAnew) return;
    const chunk = this.chunks.find(other => other.element === target);
    if (!chunk) return;
    target.style.minHeight = "";
    target.replaceChildren(...Array.from({length: chunk.count}, (_, index) => this.line(chunk.line + index)));
  }

  line(index) {
    const start = this.starts[index], next = this.starts[index + 1] ?? this.text.length;
    const text = this.text.slice(start, next).replace(/\r?\n$/, ""), end = start + text.length;
    const shown = element("div", {class: "line", "data-line": index + 1});
    const {first = 0, last = 0} = this.marked ?? {};
    if (first < next && last > start) {
      const [from, to] = [Math.max(first, start) - start, Math.min(last, end) - start];
      shown.append(text.slice(0, from), element("mark", {text: text.slice(from, to)}), text.slice(to));
    } else {
      shown.textContent = text;
    }
    return shown;
  }

  /** Goes to the next place with the words of the search field, forward or back; 0 looks from where one is. */
  find(direction) {
    const words = $("pane-find").value, count = $("pane-count");
    count.textContent = "";
    if (!words) return;
    const text = this.text.toLowerCase(), wanted = words.toLowerCase();
    // Lower case of some letters is longer, and places would be others.
    const [searched, looked] = text.length === this.text.length ? [text, wanted] : [this.text, words];
    const here = this.marked?.first ?? 0;
    let place = direction < 0 ? searched.lastIndexOf(looked, here - 1) : searched.indexOf(looked, here + direction);
    if (direction < 0 && here === 0) place = -1;
    if (place < 0) place = direction < 0 ? searched.lastIndexOf(looked) : searched.indexOf(looked);
    if (place < 0) { count.textContent = "not found"; return; }
    this.mark(place, place + looked.length);
    count.textContent = "line " + number(lineAt(this.starts, place) + 1);
  }

  /** Where the marked passage is, in bytes of UTF-8; null for none. */
  get passage() {
    return this.marked
      ? {start: utf8Offset(this.text, this.marked.first), end: utf8Offset(this.text, this.marked.last)} : null;
  }
}

const number = value => value.toLocaleString("en");
