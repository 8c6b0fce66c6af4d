#!/usr/bin/env python3
"""The page of a running server in a browser: one conversation about a document by keyboard alone, and pictures.

    Tests/clients/page.py URL [FOLDER] [--key KEY] [--document FILE] [--browser FILE]

Needs playwright (PyPI) and a Chromium (Debian's package, or --browser); FOLDER gets pictures of the desktop and of a phone, light and
dark. A small model is enough: nothing depends on what it answers. Exits with 1 for what did not go as it should.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile

from playwright.sync_api import expect, sync_playwright

# Machines can be busy.
expect.set_options(timeout=60_000)
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
MARKDOWN = """## What a table says

| Chapter | Who | Where |
|---|:-:|--:|
| 1 | Alice, *the White Rabbit* | down the hole |
| 2 | Alice, a **Mouse** | in a pool<br>of tears |

1. First
   - inner
2. Second, with `code`

> A quotation
> of two lines.

```python
def fall(depth):
    return [step for step in range(depth) if step % 2 and "a long line that has to be scrolled" != str(step)]
```

[A link](https://example.org) and <img src=x onerror="document.title='broken'"> <script>document.title = 'broken'</script>"""


def document(path):
    """The beginning of a text, so that a small model's context holds it."""
    with open(path, encoding="utf-8") as file:
        text = file.read()[:6000]
    file = tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="alice-", delete=False, encoding="utf-8")
    with file:
        file.write(text)
    return file.name, text


class Tester:
    def __init__(self, browser, arguments):
        self.browser = browser
        self.url = arguments.url
        self.folder = arguments.folder
        self.key = arguments.key
        self.file = None
        self.faults = []

    def page(self, **options):
        context = self.browser.new_context(**options)
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"error on the page: {error}"))
        page.on("console", lambda message: self.note(message))
        page.on("request", lambda request: self.watch(request))
        # From the beginning: a chooser that opens while the browser learns that it is waited for is lost.
        page.on("filechooser", lambda chooser: chooser.set_files(self.file))
        page.goto(self.url)
        if self.key:
            page.get_by_label("This server needs a key").fill(self.key)
            page.keyboard.press("Enter")
        expect(page.locator("#model")).not_to_have_text(re.compile("connect|key"))
        return page

    def note(self, message):
        # What the server refuses, as it has to, is told there as well.
        if message.type in ("error", "warning") and not re.search("status of (400|401|413)", message.text):
            self.faults.append(f"in the console: {message.text}")

    def watch(self, request):
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.faults.append(f"the page asked {request.url}")

    def picture(self, page, name):
        if self.folder:
            page.screenshot(path=os.path.join(self.folder, name + ".png"))


def tab_to(page, name, limit=60):
    """Goes by Tab until an element with an accessible name has the focus, which has to be seen."""
    seen = []
    for _ in range(limit):
        page.keyboard.press("Tab")
        focused = page.evaluate("""() => {
            const e = document.activeElement, style = getComputedStyle(e);
            const ring = style.outlineStyle !== "none" || e.id === "question";
            return [e.getAttribute("aria-label") || e.textContent.trim(), ring];
        }""")
        seen.append(focused[0])
        if re.search(name, focused[0]):
            assert focused[1], f"the focus on {focused[0]} cannot be seen"
            return
    raise AssertionError(f"Tab does not reach {name}: {seen}")


def answered(page):
    """Waits for the end of an answer."""
    expect(page.locator("#stop")).to_be_hidden(timeout=300_000)
    expect(page.locator("article.answer").last).to_be_visible()


def keyboard(tester, file, text):
    """One conversation about a document without a mouse."""
    page = tester.page(viewport=DESKTOP, color_scheme="light")
    question = page.get_by_role("textbox", name="Question")
    expect(question).to_be_focused()
    tester.picture(page, "desktop-light-empty")

    # A short answer is enough.
    tab_to(page, "^Settings$")
    page.keyboard.press("Enter")
    page.get_by_label("Longest answer").fill("40")
    page.get_by_label("Temperature").fill("9")
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#settings-error")).to_contain_text("temperature has to be")
    tester.picture(page, "desktop-light-settings")
    page.get_by_label("Temperature").fill("0.3")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()

    tab_to(page, "^Add a document$")
    tester.file = file
    page.keyboard.press("Enter")
    expect(page.locator("#reading-status")).to_contain_text(re.compile(r"tokens.*(left|so far)"))
    tester.picture(page, "desktop-light-reading")
    # Asked while it is being read: the answer waits for that.
    expect(question).to_be_focused()
    page.keyboard.type("Who is this about?")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("In one sentence.")
    page.keyboard.press("Enter")
    answered(page)
    expect(page.locator("article.question .text")).to_have_text("Who is this about?\nIn one sentence.")
    expect(page.locator(".answer .costs")).to_contain_text("tokens/s")
    expect(page.locator("#announcement")).not_to_be_empty()
    tester.picture(page, "desktop-light-answer")

    # The document beside it, found and marked by bytes of UTF-8.
    tab_to(page, "^The document$")
    page.keyboard.press("Enter")
    expect(page.locator("#pane-lines")).to_contain_text(text[:20])
    words = "White Rabbit"
    start = len(text[: text.index(words)].encode())
    name = os.path.basename(file)
    script = "async ([name, start, end]) => (await import('./page/app.mjs')).showPassage(name, start, end)"
    assert page.evaluate(script, [name, start, start + len(words)]) is True
    expect(page.locator("mark")).to_have_text(words)
    expect(page.locator("mark")).to_be_in_viewport()
    for wrong in (["no such name", 0, 5], [name, -1, 5], [name, 5, 5], [name, 10**9, 10**9 + 1]):
        assert page.evaluate(script, wrong) is False, wrong
    tester.picture(page, "desktop-light-document")
    page.get_by_label("Find in the document").focus()
    page.keyboard.type("RABBIT")
    expect(page.locator("#pane-count")).to_contain_text("line")
    page.keyboard.press("Escape")
    expect(page.locator("#pane")).to_be_hidden()

    # Again, and in other words; both versions stay.
    tab_to(page, "^Answer again$")
    page.keyboard.press("Enter")
    answered(page)
    expect(page.locator(".answer .versions")).to_contain_text("2/2")
    tab_to(page, "^Edit the question")
    page.keyboard.press("Enter")
    expect(page.locator(".editing textarea")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("What does she see?")
    page.keyboard.press("Enter")
    answered(page)
    expect(page.locator("article.question .text")).to_have_text("What does she see?")
    expect(page.locator(".question .versions")).to_contain_text("2/2")

    # Stopped by Escape.
    tab_to(page, "^Settings$")
    page.keyboard.press("Enter")
    page.get_by_label("Longest answer").fill("")
    page.get_by_role("button", name="Save").click()
    question.focus()
    page.keyboard.type("Tell it all, from the beginning to the end, with every word that is said.")
    page.keyboard.press("Enter")
    expect(page.locator("article.answer").last.locator(".markdown").last).not_to_be_empty(timeout=300_000)
    page.keyboard.press("Escape")
    answered(page)
    expect(page.locator(".answer .notice").last).to_contain_text(re.compile("Stopped|circles"))

    # All of it is there after the page was loaded again.
    before = page.locator("#log article").all_inner_texts()
    page.reload()
    expect(page.locator("#log article")).to_have_count(4)
    assert page.locator("#log article").all_inner_texts() == before
    expect(page.locator("#about-name")).to_have_text(name)
    expect(page.locator("#documents")).to_contain_text(name)

    # A new chat, and the old one by its name.
    page.keyboard.press("Control+Shift+O")
    expect(page.locator("#log article")).to_have_count(0)
    page.get_by_role("button", name="Who is this about?", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.type("About Alice")
    page.keyboard.press("Enter")
    expect(page.locator("#conversations")).to_contain_text("About Alice")
    tester.picture(page, "desktop-light-new")
    return page


# Puts a conversation into the page's database.
KEEP = """async (conversation) => {
    const open = indexedDB.open("ra", 1);
    await new Promise(done => { open.onsuccess = done; });
    const store = open.result.transaction("conversations", "readwrite").objectStore("conversations");
    await new Promise(done => { store.put(conversation).onsuccess = done; });
    sessionStorage.setItem("ra.current", JSON.stringify(conversation.id));
}"""


def conversation(document):
    """One with everything that an answer can have."""
    messages = [
        {"id": "1", "parent": "", "role": "user", "content": "What does the table say?"},
        {"id": "2", "parent": "1", "role": "assistant", "content": MARKDOWN, "reasoning": "The user asks for a *table*.",
         "ended": "stop", "costs": "40 tokens · 60.1 tokens/s · first after 0.12 s"},
        {"id": "3", "parent": "2", "role": "user", "content": "And then? " * 30},
        {"id": "4", "parent": "3", "role": "assistant", "content": "It was said again. " * 12, "ended": "loop"},
        {"id": "5", "parent": "4", "role": "user", "content": "Go on."},
        {"id": "6", "parent": "5", "role": "assistant", "content": "", "ended": "error",
         "error": {"text": "This model's maximum context length is 8192 tokens.", "code": "context_length_exceeded", "what": "answer"}},
    ]
    return {"version": 1, "id": "sample", "title": "A table, code and what went wrong", "created": 1, "changed": 10**13,
            "document": document, "messages": messages, "leaf": "6"}


def looks(tester, page):
    """Pictures of what answers are made of, on all screens; nothing is wider than the screen, and nothing of an answer runs."""
    chosen = page.evaluate("""async () => {
        const open = indexedDB.open("ra", 1);
        await new Promise(done => { open.onsuccess = done; });
        const all = open.result.transaction("documents").objectStore("documents").getAll();
        await new Promise(done => { all.onsuccess = done; });
        return all.result[0].id;
    }""")
    for device, size in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(size)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.evaluate(KEEP, conversation(chosen))
            page.reload()
            expect(page.locator("#log article")).to_have_count(6)
            page.locator("#log").evaluate("log => { log.scrollTop = 0; }")
            page.locator(".thoughts:visible summary").click()
            tester.picture(page, f"{device}-{theme}-markdown")
            page.locator("#log").evaluate("log => { log.scrollTop = log.scrollHeight; }")
            tester.picture(page, f"{device}-{theme}-endings")
            page.locator("#show-document").click()
            expect(page.locator(".line").first).to_be_visible()
            tester.picture(page, f"{device}-{theme}-document")
            page.keyboard.press("Escape")
            expect(page.locator("#pane")).to_be_hidden()
            if device == "phone":
                page.locator("#menu").click()
                expect(page.locator("#sidebar")).to_be_visible()
                tester.picture(page, f"{device}-{theme}-lists")
                page.keyboard.press("Escape")
                expect(page.locator("#sidebar")).to_be_hidden()
                page.locator("#settings").click()
                tester.picture(page, f"{device}-{theme}-settings")
                page.keyboard.press("Escape")
                share = page.evaluate("() => document.querySelector('#log').clientHeight / innerHeight")
                assert share > 0.65, f"the conversation has {share:.0%} of a phone's screen"
            width = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
            assert width <= 0, f"{width} pixels beyond a {device}'s screen"
            assert "broken" not in page.title()
            assert page.locator("#log :is(script, img, iframe)").count() == 0
            assert page.locator("#log a").get_attribute("rel") == "noopener noreferrer nofollow"
    # Chosen, whatever the system says.
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="dark")
    page.locator("#settings").click()
    page.get_by_label("Colours").select_option("light")
    page.keyboard.press("Escape")
    page.reload()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 248)"


def trouble(tester):
    """What is wrong is told with what to do."""
    page = tester.page(viewport=DESKTOP, color_scheme="light")
    with tempfile.NamedTemporaryFile(suffix=".bin") as binary:
        binary.write(b"\xff\xfe\x00\x01")
        binary.flush()
        page.locator("#file").set_input_files(binary.name)
        expect(page.get_by_role("alert")).to_contain_text("is not a text in UTF-8")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as long:
        long.write("A sentence that is read by nobody. " * 300_000)
        long.flush()
        page.locator("#file").set_input_files(long.name)
        expect(page.get_by_role("alert")).to_contain_text(re.compile("take a shorter one|--max-request"), timeout=120_000)
    tester.picture(page, "desktop-light-too-long")
    # It is not kept, since it would never be read.
    expect(page.locator("#about")).to_be_hidden()
    expect(page.locator("#documents")).not_to_contain_text(os.path.basename(long.name))
    page.locator("#problem-close").click()

    # A server that is gone: what was asked is kept, and the page finds it again by itself.
    faults = list(tester.faults)
    page.context.set_offline(True)
    page.get_by_role("textbox", name="Question").fill("Is anybody there?")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("The server does not answer")
    tester.picture(page, "desktop-light-gone")
    page.context.set_offline(False)
    expect(page.locator("#problem")).to_be_hidden(timeout=20_000)
    # That it was gone is in the console, too.
    tester.faults[:] = faults
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator("article.answer .markdown").last).not_to_be_empty(timeout=300_000)
    page.keyboard.press("Escape")
    answered(page)
    page.get_by_role("button", name="Is anybody there?", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#conversations")).not_to_contain_text("Is anybody")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--key", default="")
    parser.add_argument("--document", default=os.path.join(ROOT, "Texts", "alice.txt"))
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("google-chrome"))
    arguments = parser.parse_args()
    arguments.url = arguments.url.rstrip("/") + "/"
    if arguments.folder:
        os.makedirs(arguments.folder, exist_ok=True)
    file, text = document(arguments.document)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.browser, args=["--no-sandbox"])
        try:
            tester = Tester(browser, arguments)
            looks(tester, keyboard(tester, file, text))
            trouble(tester)
        finally:
            browser.close()
            os.unlink(file)
    for fault in tester.faults:
        print(fault, file=sys.stderr)
    print(f"the page: {len(tester.faults)} faults" + (f", pictures in {arguments.folder}" if arguments.folder else ""))
    return 1 if tester.faults else 0


if __name__ == "__main__":
    sys.exit(main())
