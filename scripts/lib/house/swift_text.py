"""Swift source as text: code and comments apart, so that nothing is found in a comment or a string.

`split` keeps every character at its place: comments become spaces, a string one quotation mark and spaces, a sentence in
backquotes a name; what is interpolated into a string stays. Bare regular expression literals (`/.../`) are taken for operators, `#/.../#` is
understood.
"""

import re
import typing


class Comment(typing.NamedTuple):
    start: int  # offset of its first character
    end: int
    doc: bool  # whether it documents the declaration after it: `///` or `/**`


class Token(typing.NamedTuple):
    text: str  # an identifier without its backquotes, a number, or one character; a string is one quotation mark
    start: int
    end: int
    is_name: bool  # whether it is an identifier or a keyword; a keyword in backquotes is `quoted`
    quoted: bool = False


def split(source):
    """Returns (code, comments): code is as long as the source and has its lines at the same places."""
    code = list(source)
    comments = []
    _scan(source, 0, code, comments, None)
    return "".join(code), comments


_SPECIAL = re.compile(r'//|/\*|#*"|#+/|[()]|`[^`\n]*`')


def _scan(source, at, code, comments, closing):
    """Blanks comments and strings from `at` on, to the end or to the parenthesis that closes an interpolation."""
    depth = 0
    while True:
        match = _SPECIAL.search(source, at)
        if match is None:
            return len(source)
        text, at = match.group(), match.end()
        if text[0] == "`":
            _name(code, match.start() + 1, match.end() - 1)
        elif text == "(":
            depth += 1
        elif text == ")":
            if closing and depth == 0:
                return at
            depth -= 1
        elif text == "//":
            end = source.find("\n", at)
            end = len(source) if end < 0 else end
            doc = source.startswith("/", at) and not source.startswith("//", at)
            comments.append(Comment(match.start(), end, doc))
            _blank(code, match.start(), end)
            at = end
        elif text == "/*":
            end = _block_end(source, at)
            comments.append(Comment(match.start(), end, source.startswith("*", at) and end - at > 3))
            _blank(code, match.start(), end)
            at = end
        elif text.endswith("/"):
            closer = "/" + "#" * (len(text) - 1)
            end = source.find(closer, at)
            at = len(source) if end < 0 else end + len(closer)
            _blank(code, match.start(), at)
        else:
            at = _string(source, match.start(), len(text) - 1, code, comments)


def _block_end(source, at):
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(source, at):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(source)


def _string(source, start, hashes, code, comments):
    """Blanks one literal, but for interpolations, and returns where it ends."""
    at = start + hashes
    quotes = '"""' if source.startswith('"""', at) else '"'
    close, escape = quotes + "#" * hashes, "\\" + "#" * hashes
    at += len(quotes)
    blank_from = start
    while at < len(source):
        if source.startswith(close, at):
            at += len(close)
            break
        if source.startswith(escape + "(", at):
            _blank(code, blank_from, at + len(escape))
            at = _scan(source, at + len(escape) + 1, code, comments, ")")
            blank_from = at
        elif source.startswith(escape, at):
            at += len(escape) + 1
        elif source[at] == "\n" and quotes == '"':
            break  # not closed: the rest of the file is worth more than this line
        else:
            at += 1
    _blank(code, blank_from, at)
    code[start] = '"'
    return at


def _name(code, start, end):
    """Makes one name of a raw identifier, a sentence in backquotes: what it says is no code."""
    for i in range(start, end):
        if not (code[i].isalnum() or code[i] == "_") or (i == start and code[i].isdigit()):
            code[i] = "_"


def _blank(code, start, end):
    for i in range(start, min(end, len(code))):
        if code[i] != "\n":
            code[i] = " "


_TOKEN = re.compile(r"`([^\W\d]\w*)`|([^\W\d]\w*)|\d[\w.]*|\S")


def tokens(code):
    """The tokens of code that `split` gave."""
    result = []
    for match in _TOKEN.finditer(code):
        quoted, name = match.group(1), match.group(2)
        result.append(
            Token(quoted or match.group(), match.start(), match.end(), bool(quoted or name), quoted is not None))
    return result
