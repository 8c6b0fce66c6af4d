"""Text as mdoc(7) has it, the language of manual pages that groff and mandoc both read."""

import re
import textwrap

# What roff would take for something else, or show as a typographic sign that nobody can paste into a shell.
SIGNS = {"\\": "\\e", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", "\u2026": "...", "\u00d7": "x"}
OPTION = re.compile(r"(?<![\w-])(--?)(?=[A-Za-z])")


def escape(text, literal=False):
    """Text within a line. In literal text every hyphen is one that can be typed, else those of options are."""
    text = "".join(SIGNS.get(sign, sign) for sign in text)
    if literal:
        return text.replace("-", "\\-")
    return OPTION.sub(lambda match: match[1].replace("-", "\\-"), text)


def argument(text):
    """One argument of a macro."""
    text = escape(text).replace('"', "\\(dq")
    return f'"{text}"' if re.search(r"\s", text) or not text or len(text) < 4 else text


def guarded(text):
    """An escaped line of text that is not taken for a macro."""
    return "\\&" + text if text.startswith(".") else text


def paragraph(text):
    """Lines of text, each sentence on lines of its own: the spacing after it is then right."""
    lines = []
    for sentence in re.split(r"(?<=[.:?!])\s+(?=[A-Z0-9(])", " ".join(text.split())):
        # A word is never cut: it may be an address or an example.
        for piece in textwrap.wrap(escape(sentence), 78, break_long_words=False, break_on_hyphens=False):
            lines.append(guarded(piece))
    return lines


def display(lines):
    """Examples, as they are typed."""
    return [".Bd -literal -offset indent", *(guarded(escape(text, literal=True)) for text in lines), ".Ed"]
