import assert from "node:assert/strict";
import {createHash} from "node:crypto";
import {readFileSync} from "node:fs";
import test from "node:test";
import {blocks, isLink} from "../../Sources/InferenceServer/Resources/Page/markdown.mjs";

const html = text => blocks(text).map(block => block.html).join("");
const tags = text => [...html(text).matchAll(/<\/?([a-z][a-z0-9]*)([^<>]*)>/gi)];

test("what answers are made of", () => {
  assert.equal(html("# A *b*"), "<h1>A <em>b</em></h1>\n");
  assert.equal(html("a\nb"), "<p>a<br>b</p>\n");
  assert.match(html("| a | b |\n|---|--:|\n| 1 | x<br>y |"), /<td>1<\/td>\s*<td align="right">x<br>y<\/td>/);
  assert.match(html("```python\nif a < b & c: pass\n```"), /<pre data-language="python"><code>if a &lt; b &amp; c: pass\n<\/code>/);
  assert.match(html("- [x] done\n- [ ] open"), /☑ done[^]*☐ open/);
  assert.equal(html("1 < 2 && \"x\""), "<p>1 &lt; 2 &amp;&amp; &quot;x&quot;</p>\n");
});

test("an unfinished block is shown as far as it is", () => {
  assert.match(html("```js\nlet a"), /<pre data-language="js"><code>let a\n<\/code><\/pre>/);
  assert.equal(blocks("one\n\ntwo\n\nthr").length, 3);
});

test("links lead to the web only, and pictures are links", () => {
  assert.match(html("[a](https://example.org/?a=1&b=2)"), /<a href="https:\/\/example.org\/\?a=1&amp;b=2" target="_blank" rel="noopener/);
  assert.match(html("![cat](https://example.org/c.png)"), /^<p><a href="https:\/\/example.org\/c.png"[^>]*>cat<\/a><\/p>/);
  for (const address of [
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "&#106;avascript:alert(1)", "javascript&colon;alert(1)", "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>", "vbscript:x", "file:///etc/passwd", "/v1/sessions", "//example.org", "blob:x", " javascript:a",
  ]) {
    assert.equal(isLink(address), false, address);
    for (const text of [`[a](${address})`, `[a](<${address}>)`, `![a](${address})`, `[a]\n\n[a]: ${address}`, `<${address}>`]) {
      assert.equal(/<(a|img)\b/i.test(html(text)), false, text + " gave " + html(text));
    }
  }
});

// By the renderer alone: in a browser DOMPurify and the page's policy come behind it.
test("no markup of an answer becomes markup of the page", () => {
  const attacks = [
    "<script>alert(1)</script>", "a <img src=x onerror=alert(1)> b", "<b onmouseover=alert(1)>x</b>", "<iframe src='javascript:alert(1)'>",
    "<svg/onload=alert(1)>", "<pre><img src=x onerror=alert(1)//", "<style>*{display:none}</style>", "<!-- --><script>x</script>",
    "text <script>\n\n<img src=x onerror=alert(1)\n", "- <details open ontoggle=alert(1)>", "| <img src=x onerror=1> |\n|-|\n| <svg onload=1> |",
    "> <math><mi//xlink:href=\"data:x,<script>alert(1)</script>\">", "```\"><img src=x onerror=1>\nx\n```", "# <a href=javascript:alert(1)>x</a>",
    "[x](https://a.b \"\\\" onclick=alert(1)\")", "[x](https://a.b/\"onclick=alert(1))", "![\"onerror=alert(1)](https://a.b)",
    "[<img src=x onerror=1>](https://a.b)", "`<img src=x onerror=1>`", "<https://a.b/\"onclick=1>", "&lt;img src=x onerror=1&gt;",
    "<form action=x><input name=y>", "<p style=position:fixed>", "\\<script>alert(1)\\</script>", "<a\nhref=javascript:x>y", "<<script>script>",
  ];
  const harmless = new Set("p br strong em del code pre a ul ol li blockquote h1 hr table thead tbody tr th td".split(" "));
  for (const attack of [...attacks, attacks.join("\n\n"), attacks.join(" ")]) {
    for (const [tag, name, attributes] of tags(attack)) {
      assert.ok(harmless.has(name.toLowerCase()), `${attack} gave ${tag}`);
      const rest = attributes.replace(/ (href|title|target|rel|start|align|data-language)="[^"<>]*"/g, "");
      assert.equal(rest.trim(), "", `${attack} gave ${tag}`);
    }
    assert.equal(html(attack).replace(/<\/?[a-z][^<>]*>/gi, "").includes("<"), false, attack);
  }
});

test("hostile lengths take no time", () => {
  for (const text of ["*".repeat(20000), "[".repeat(20000), "`".repeat(5000) + "a", "> ".repeat(500) + "a", "<".repeat(20000)]) {
    assert.ok(html(text).length > 0);
  }
});

test("the libraries are those that were checked in", () => {
  const folder = new URL("../../Sources/InferenceServer/Resources/Page/vendor/", import.meta.url);
  const table = readFileSync(new URL("README.md", folder), "utf8");
  const rows = [...table.matchAll(/^\| `([^`]+)`.*`([0-9a-f]{64})` \|$/gm)];
  assert.equal(rows.length, 2);
  for (const [, name, sum] of rows) {
    assert.equal(createHash("sha256").update(readFileSync(new URL(name, folder))).digest("hex"), sum, name);
  }
});
