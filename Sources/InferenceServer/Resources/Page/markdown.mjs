// Markdown of answers as HTML that cannot run anything: markup in an answer is shown as text, links lead only to the
// web, images are links, and what comes out passes DOMPurify before it becomes a part of the page. The page's
// Content-Security-Policy is behind all of that.

import {getDefaults, lexer, parser, Renderer, Tokenizer} from "./vendor/marked.mjs";

const escapes = {"<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"};
/** As HTML, where the renderer may have done that already. */
const escape = text => text.replace(/&(?!(?:#\d{1,7}|#x[0-9a-f]{1,6}|\w+);)/gi, "&amp;")
  .replace(/[<>"']/g, character => escapes[character]);
const escapeCode = text => text.replaceAll("&", "&amp;").replace(/[<>"']/g, character => escapes[character]);

/** Whether a link may be followed. Nothing relative: an answer knows no pages of this server. */
export function isLink(address) {
  try { return ["http:", "https:", "mailto:"].includes(new URL(address).protocol); } catch { return false; }
}

const link = (address, title, text) => {
  if (!isLink(address)) return text;
  return `<a href="${escape(address)}"${title ? ` title="${escape(title)}"` : ""} target="_blank"`
    + ` rel="noopener noreferrer nofollow">${text}</a>`;
};

// Markup is no part of the language here: what looks like it is text.
const tokenizer = new Tokenizer();
tokenizer.html = tokenizer.tag = () => undefined;

const renderer = new Renderer();
renderer.html = escape;
// Models write line breaks into the cells of tables like this.
renderer.text = text => escape(text).replace(/&lt;br ?\/?&gt;/gi, "<br>");
renderer.link = (address, title, text) => link(address ?? "", title, text);
// An image would be fetched from wherever the answer says, which tells that host what was asked.
renderer.image = (address, title, text) => link(address ?? "", title, escape(text || address || "image"));
renderer.code = (text, language) => {
  const name = (language || "").trim().split(/\s/, 1)[0];
  return `<pre${name ? ` data-language="${escapeCode(name)}"` : ""}><code>${escapeCode(text.replace(/\n$/, ""))}\n`
    + "</code></pre>\n";
};
renderer.checkbox = checked => (checked ? "☑ " : "☐ ");

const options = {...getDefaults(), gfm: true, breaks: true, headerIds: false, mangle: false, renderer, tokenizer};

/**
 * The blocks of a text (paragraphs, lists, code), each with its source and its HTML. An answer that is being written
 * keeps its first blocks, so that only the last ones have to be shown anew.
 *
 * @param {string} text - Markdown
 * @returns {{source: string, html: string}[]}
 */
export function blocks(text) {
  // Code that is being written is code once a line has ended.
  const tokens = lexer(text + "\n", options);
  return tokens.filter(token => token.type !== "space" && token.type !== "def").map(token => {
    const part = [token];
    // Where links with names are defined; the source of a block does not change with them.
    part.links = tokens.links;
    return {source: token.raw, html: parser(part, options)};
  });
}
