"""What Package.swift and the drawings of the parts say about which target may import which."""

import re
import typing

from swift_text import split

_TARGET = re.compile(r"\.(target|executableTarget|testTarget|systemLibrary|macro|plugin)\s*\(")
# `A <- B`, `A <--- {B, C}`; the tail of an arrow that ends in a corner (`<---+`) says nothing that can be read safely.
_DRAWN = re.compile(r"(<-+\+?)|\{([\w, ]+)\}|(\w+)")


class Target(typing.NamedTuple):
    name: str
    path: str
    is_test: bool
    dependencies: tuple  # targets of this package


def targets(manifest):
    """The targets of a Package.swift, by name. Lists that are put together from variables are not followed."""
    code, comments = split(manifest)
    text = list(manifest)
    for comment in comments:
        text[comment.start:comment.end] = " " * (comment.end - comment.start)
    text = "".join(text)
    found, at = {}, 0
    while True:
        match = _TARGET.search(code, at)
        if match is None:
            break
        at = _end(code, match.end() - 1)
        name = re.search(r'\bname:\s*"([^"]+)"', text[match.end():at])
        if name is None:
            continue
        path = re.search(r'\bpath:\s*"([^"]+)"', text[match.end():at])
        is_test = match.group(1) == "testTarget"
        folder = path.group(1).rstrip("/") if path else f"{'Tests' if is_test else 'Sources'}/{name.group(1)}"
        is_test = is_test or folder.startswith("Tests/")  # what tests share
        dependencies = ()
        opening = re.compile(r"\bdependencies:\s*\[").search(code, match.end(), at)
        if opening:
            items = re.sub(r"\.product\([^)]*\)", "", text[opening.end():_end(code, opening.end() - 1)])
            dependencies = tuple(re.findall(r'"([^"]+)"', items))
        found[name.group(1)] = Target(name.group(1), folder, is_test, dependencies)
    known = set(found)
    return {
        name: target._replace(dependencies=tuple(d for d in target.dependencies if d in known))
        for name, target in found.items()}


def _end(code, at):
    """Offset of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(code)):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
            if depth == 0:
                return i
    return len(code)


def drawn_pairs(text, names):
    """(A, B) for each `A <- B` on one line of a text: B may import A, and A must not import B."""
    pairs = set()
    for line in text.splitlines():
        if "<-" not in line:
            continue
        before, arrow = [], False
        for match in _DRAWN.finditer(line):
            if match.group(1):
                arrow = not match.group(1).endswith("+")
                continue
            group = [name.strip() for name in (match.group(2) or match.group(3)).split(",")]
            if arrow:
                pairs.update((a, b) for a in before for b in group)
            before, arrow = group, False
    return {(a, b) for a, b in pairs if a in names and b in names}


def reachable(edges):
    """For each key of `edges` all that can be reached from it, itself only if it lies on a circle."""
    result = {}
    for start in edges:
        seen, waiting = set(), list(edges[start])
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting.extend(edges.get(node, ()))
        result[start] = seen
    return result
