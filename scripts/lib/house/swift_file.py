"""One Swift file: its tokens, imports and declarations, with their access and whether they are documented."""

import bisect
import re
import typing

import scanner
from swift_text import split, tokens

TYPES = scanner.TYPES
UNSAFE = re.compile(r"\b(?:Unsafe\w*Pointer|OpaquePointer)\b")


class SwiftFile:
    """A file, read once. `name` is what lists call it."""

    def __init__(self, name, source):
        self.name, self.source = name, source
        self.code, self.comments = split(source)
        self.tokens = tokens(self.code)
        self._line_starts = [0] + [match.end() for match in re.finditer("\n", source)]
        self.imports = []  # (module, line)
        self.declarations = []
        # Whether the scanner found the end of all braces; if not, what it says of this file may be wrong.
        self.balanced = scanner.scan(self)

    def line(self, offset):
        return bisect.bisect_right(self._line_starts, offset)

    def is_documented(self, start, end):
        """Whether a doc comment stands before `start`, with nothing but other comments between, or up to `end`."""
        for comment in reversed(self.comments):
            if comment.start >= end:
                continue
            if comment.start < start and self.code[comment.start:start].strip():
                return False
            if comment.doc:
                return True
        return False

    def body(self, declaration):
        """The code between the braces of a type."""
        depth, start = 0, self.code.find("{", declaration.end)
        for i in range(start, len(self.code)) if start >= 0 else ():
            depth += {"{": 1, "}": -1}.get(self.code[i], 0)
            if depth == 0:
                return self.code[start:i]
        return ""

    def comment_lines(self):
        """Numbers of the lines that hold a part of a comment."""
        return sorted({
            line for comment in self.comments
            for line in range(self.line(comment.start), self.line(max(comment.start, comment.end - 1)) + 1)})
