// Markdown on the page.

import {copy, element, iconButton} from "./dom.mjs";
import {blocks} from "./markdown.mjs";
import purify from "./vendor/dompurify.mjs";

const allowed = {
  ALLOWED_TAGS: [
    "p", "br", "strong", "em", "del", "code", "pre", "a", "ul", "ol", "li", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "table", "thead", "tbody", "tr", "th", "td",
  ],
  ALLOWED_ATTR: ["href", "title", "target", "rel", "start", "align", "data-language"],
  RETURN_DOM_FRAGMENT: true,
};

/** A text in Markdown that may grow: blocks that stay as they are keep their elements, and what is selected in them. */
export class MarkdownView {
  /** @param {HTMLElement} root - what shows it */
  constructor(root) {
    this.root = root;
    this.shown = [];
  }

  show(text) {
    const parts = blocks(text);
    let same = 0;
    while (same < parts.length && parts[same].html === this.shown[same]?.html) same += 1;
    for (const {parent} of this.shown.splice(same)) parent.remove();
    for (const {html} of parts.slice(same)) {
      const parent = element("div", {class: "block"}, purify.sanitize(html, allowed));
      decorate(parent);
      this.root.append(parent);
      this.shown.push({html, parent});
    }
  }
}

/** Code gets its language and a button; wide tables scroll by themselves. */
function decorate(parent) {
  for (const code of parent.querySelectorAll("pre")) {
    const button = iconButton("copy", "Copy the code", () => copy(code.textContent.replace(/\n$/, ""), button));
    const head = element("div", {class: "code-head"}, element("span", {text: code.dataset.language ?? ""}), button);
    const box = element("div", {class: "code"});
    code.replaceWith(box);
    code.tabIndex = 0;
    box.append(head, code);
  }
  for (const table of parent.querySelectorAll("table")) {
    const box = element("div", {class: "table", tabindex: "0"});
    table.replaceWith(box);
    box.append(table);
  }
}
