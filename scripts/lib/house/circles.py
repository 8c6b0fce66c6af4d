"""Circles of files: files of one target of which each uses, by way of others, all the rest.

Who uses whom is told by names, without types:

- `names`: a file uses another when it names a type, function, variable or constant that the other declares at top level
  and that is not private to it. Naming a type in an extension counts, so that `Type+Aspect.swift` uses `Type.swift`.
- `members`: besides, it uses the file of an extension when it names a member declared there, after a dot or before
  a parenthesis, and declares no member of that name itself. The file must name the extended type, or no other file of
  the target may declare a member of that name.

So a use goes unseen when a value's type is never named and its members are declared in the type's own braces, and one
is seen in vain when an unlike thing has the same name. Overloads are not told apart. A type whose own file calls what
an extension in another file declares is a circle of two by `members`: a split of one type, and no fault by itself.
"""

import collections
import typing

import package
from scanner import TYPES

HIDDEN = ("private", "fileprivate")


class Names(typing.NamedTuple):
    """What one file declares and names."""

    tops: set  # types declared at top level
    values: set  # functions, variables and constants there
    members: set  # names of all members that other files can use
    extensions: dict  # member of an extension -> types extended
    named: set  # all names in it
    free: set  # names that stand neither after a dot nor before a colon
    reached: set  # names after a dot or before a parenthesis


def circles(files, with_members):
    """Lists the circles of a target's files, largest first: `files` and the `uses` within."""
    edges = uses({file.name: names(file) for file in files}, with_members)
    reached = package.reachable(edges)
    found, done = [], set()
    for file in edges:
        if file in done or file not in reached[file]:
            continue
        circle = sorted(other for other in reached[file] if file in reached[other])
        done.update(circle)
        within = [(a, b) for a in circle for b in sorted(edges[a]) if b in circle]
        found.append({
            "files": circle,
            "uses": [{"from": a, "to": b, "names": sorted(edges[a][b])} for a, b in within],
        })
    return sorted(found, key=lambda circle: (-len(circle["files"]), circle["files"]))


def names(file):
    tops, values, members, extensions = set(), set(), set(), collections.defaultdict(set)
    for d in file.declarations:
        if d.access in HIDDEN or d.is_local or d.kind in ("extension", "init", "subscript"):
            continue
        if d.scope:
            members.add(d.name)
            if d.scope[-1].kind == "extension":
                extensions[d.name].add(d.scope[-1].name.split(".")[-1])
        elif d.kind in TYPES or d.kind == "typealias":
            tops.add(d.name)
        else:
            values.add(d.name)
    named, free, reached = set(), set(), set()
    for i, token in enumerate(file.tokens):
        if not token.is_name:
            continue
        before = file.tokens[i - 1].text if i else ""
        after = file.tokens[i + 1].text if i + 1 < len(file.tokens) else ""
        named.add(token.text)
        if before != "." and after != ":":
            free.add(token.text)
        if before == "." or after == "(":
            reached.add(token.text)
    return Names(tops, values, members, extensions, named, free, reached)


def uses(by_file, with_members):
    """file -> file that it uses -> names."""
    tops, values, holders = (collections.defaultdict(set) for _ in range(3))
    extensions = collections.defaultdict(lambda: collections.defaultdict(set))
    for file, known in by_file.items():
        for name in known.tops:
            tops[name].add(file)
        for name in known.values:
            values[name].add(file)
        for name in known.members:
            holders[name].add(file)
        for name, types in known.extensions.items():
            for extended in types:
                extensions[name][extended].add(file)

    edges = {file: collections.defaultdict(set) for file in by_file}
    for file, known in by_file.items():
        found = [(name, tops[name]) for name in known.named & tops.keys()]
        found += [(name, values[name]) for name in known.free & values.keys()]
        if with_members:
            for name in (known.reached & extensions.keys()) - known.members:
                for extended, where in extensions[name].items():
                    if extended in known.named or len(holders[name]) == 1:
                        found.append((name, where))
        for name, where in found:
            if file not in where:
                for other in where:
                    edges[file][other].add(name)
    return edges
