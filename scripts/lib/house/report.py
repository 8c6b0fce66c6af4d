"""Tables of what was measured, of one state of the sources or of two side by side."""

import measures


def text(now, before=None, name="now", name_before="before"):
    """The summary, a line for each target, and who imports whom."""
    parts = [_summary(now, before, name, name_before), _targets(now, before), _imports(now)]
    for file in now["unbalanced"]:
        parts.append(f"not read to its end, braces do not balance: {file}")
    return "\n\n".join(parts)


def _summary(now, before, name, name_before):
    if before is None:
        return _table([[label, _number(value)] for label, value in now["summary"].items()])
    rows = [["", name_before, name, "change"]]
    for label, value in now["summary"].items():
        old = before["summary"].get(label)
        change = value - old if old is not None else 0
        rows.append([label, _number(old), _number(value), f"{change:+.1f}".replace(".0", "") if change else ""])
    return _table(rows)


def _number(value):
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


COLUMNS = (
    ("lines", lambda t: t["lines"]),
    ("files", lambda t: t["files"]),
    ("types", lambda t: t["types"]),
    ("unsafe", lambda t: t["unsafeFiles"]),
    (f">{measures.LONG} params", lambda t: t.get("functions", "")),
    ("public", lambda t: t.get("publicSymbols", "")),
    ("documented", lambda t: _share(t)),
    ("circles", lambda t: _circles(t, "names")),
    ("members", lambda t: _circles(t, "members")),
    (f">{measures.WIDTH} cols", lambda t: t["wideComments"]),
)
LEGEND = f"""\
unsafe: files that name unsafe pointers. >{measures.LONG} params: functions and initializers. documented: share of the
public symbols. circles: files in circles by names, and of these in the largest; members: with members of extensions.
>{measures.WIDTH} cols: comment lines. Files in C count as lines and files."""


def _targets(now, before):
    rows = [["target"] + [title for title, _ in COLUMNS]]
    old = before["targets"] if before else {}
    for name in list(now["targets"]) + [name for name in old if name not in now["targets"]]:
        target, was = now["targets"].get(name), old.get(name)
        mark = " (new)" if before and was is None else "" if target else " (gone)"
        row = [name + mark]
        for _, value in COLUMNS:
            cells = [str(value(one)) for one in (was, target) if one is not None]
            row.append(cells[0] if len(set(cells)) == 1 else " -> ".join(cells))
        rows.append(row)
    return _table(rows) + "\n" + LEGEND


def _share(target):
    symbols = target.get("publicSymbols")
    return f"{100 * (symbols - target['undocumented']) / symbols:.0f} %" if symbols else ""


def _circles(target, kind):
    sizes = [len(circle["files"]) for circle in target.get("circles", {}).get(kind, [])]
    return f"{sum(sizes)} ({max(sizes)})" if sizes else ""


def _imports(now):
    lines = ["imports of targets of this package, and in how many files:"]
    for name, target in now["targets"].items():
        if target["imports"]:
            lines.append(f"  {name}: " + ", ".join(f"{other} {files}" for other, files in target["imports"].items()))
    for key, what in (("againstOrder", "against the order"), ("undeclared", "not declared in Package.swift")):
        for entry in now[key]:
            lines.append(f"  {what}: {entry['target']} imports {entry['imports']}, as in {entry['file']}")
    lines += [f"  declared and not imported: {entry['declares']} by {entry['target']}" for entry in now["unused"]]
    return "\n".join(lines)


def lists(now):
    """Everything that was counted, one a line, so that it can be found and mended."""
    parts = []

    def part(title, lines):
        lines = list(lines)
        if lines:
            parts.append("\n".join([f"{title}: {len(lines)}"] + ["  " + line for line in lines]))

    part("files that name unsafe pointers", (entry["file"] for entry in now["unsafeFiles"]))
    part("protocols that name unsafe pointers", (
        f"{_place(entry)}: {'public ' if entry['public'] else ''}{entry['name']}" for entry in now["unsafeProtocols"]))
    part(f"functions of more than {measures.LONG} parameters", (
        f"{entry['parameters']:3}  {_place(entry)}: {entry['name']}{'  (C boundary)' if entry['boundary'] else ''}"
        for entry in sorted(now["functions"], key=lambda entry: -entry["parameters"])))
    part("public symbols without a comment", (
        f"{_place(entry)}: {entry['kind']} {entry['name']}" for entry in now["undocumented"]))
    part(f"comment lines of more than {measures.WIDTH} columns", (
        f"{_place(entry)}: {entry['columns']}" for entry in now["wideComments"]))
    part("files that import " + ", ".join(measures.SYSTEM_MODULES), (entry["file"] for entry in now["systemImports"]))
    for name, target in now["targets"].items():
        for kind, how in (("names", "by names"), ("members", "with members of extensions")):
            for circle in target.get("circles", {}).get(kind, []):
                lines = [f"circle of {len(circle['files'])} files in {name}, {how}:"]
                for use in circle["uses"]:
                    lines.append(f"  {_short(use['from'])} uses {_short(use['to'])}: {_few(use['names'])}")
                parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _place(entry):
    return f"{entry['file']}:{entry['line']}"


def _short(path):
    return path.split("/", 2)[-1]


def _few(names):
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _table(rows):
    """Columns of one width each, the first to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]).rstrip()
        for row in rows)
