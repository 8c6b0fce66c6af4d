"""Measures a checkout: all that scripts/house prints, as one dictionary that goes into JSON as it is."""

import pathlib
import re

import circles
import package
from scanner import TYPES
from swift_file import UNSAFE, SwiftFile

LONG, VERY_LONG = 6, 10  # parameters; more than these
WIDTH = 120  # columns of a comment line
SYSTEM_MODULES = ("Glibc", "Darwin", "Musl")
SYSTEM_IMPORTER = "Sources/Platform/CLibrary.swift"  # the one file that may import these
SYMBOLS = TYPES + ("func", "init", "subscript", "var", "let", "case", "typealias", "associatedtype")


def measure(root):
    root = pathlib.Path(root)
    manifest = root / "Package.swift"
    declared = package.targets(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    files = _files(root, declared)
    c_targets = {name for name, found in files.items() if not any(isinstance(f, SwiftFile) for f in found)}
    result = {
        "targets": {}, "unsafeFiles": [], "unsafeProtocols": [], "functions": [], "undocumented": [],
        "wideComments": [], "systemImports": [], "unbalanced": [],
    }
    for name in sorted(files, key=lambda name: (_is_test(name, declared, files), name)):
        found = files[name]
        swift = [file for file in found if isinstance(file, SwiftFile)]
        is_test = _is_test(name, declared, files)
        target = {
            "test": is_test,
            "lines": sum(len(file.source.splitlines()) for file in found),
            "files": len(found),
            "swiftFiles": len(swift),
            "types": sum(d.kind in TYPES for file in swift for d in file.declarations),
        }
        result["targets"][name] = target
        result["unbalanced"] += [file.name for file in swift if not file.balanced]
        _add(result, target, "unsafeFiles", name, [
            {"file": file.name} for file in swift if UNSAFE.search(file.code)])
        _add(result, target, "wideComments", name, _wide_comments(found))
        _add(result, target, "systemImports", name, [
            {"file": file.name} for file in swift if any(module in SYSTEM_MODULES for module, _ in file.imports)])
        if is_test:
            continue
        _add(result, target, "functions", name, _functions(swift, c_targets))
        public = _public(swift)
        target["publicSymbols"] = len(public)
        _add(result, target, "undocumented", name, [
            {"file": file.name, "line": d.line, "kind": d.kind, "name": _qualified(d)}
            for file, d in public if not d.documented])
        _add(result, target, "unsafeProtocols", name, [
            {"file": file.name, "line": d.line, "name": d.name, "public": (file, d) in public}
            for file in swift for d in file.declarations if d.kind == "protocol" and UNSAFE.search(file.body(d))])
        target["circles"] = {
            "names": circles.circles(swift, with_members=False),
            "members": circles.circles(swift, with_members=True),
        }
    _measure_imports(result, root, declared, files)
    result["summary"] = summary(result)
    return result


def summary(result):
    """What is worth a line of its own: label -> number."""
    targets = list(result["targets"].values())
    sources = [target for target in targets if not target["test"]]
    rows = {}
    for key in ("lines", "files", "types"):
        rows[f"{key} of Sources"] = sum(target[key] for target in sources)
        rows[f"{key} of Tests"] = sum(target[key] for target in targets if target["test"])
    rows["Swift files of Sources"] = sum(target["swiftFiles"] for target in sources)
    rows["  that name unsafe pointers"] = sum(target["unsafeFiles"] for target in sources)
    protocols = result["unsafeProtocols"]
    rows["public protocols that name unsafe pointers"] = sum(entry["public"] for entry in protocols)
    rows["other protocols that name unsafe pointers"] = sum(not entry["public"] for entry in protocols)
    functions = result["functions"]
    rows[f"functions of more than {LONG} parameters"] = len(functions)
    rows["  parameters of the largest"] = max((f["parameters"] for f in functions), default=0)
    rows[f"  of more than {VERY_LONG}, outside of the C boundary"] = sum(
        f["parameters"] > VERY_LONG and not f["boundary"] for f in functions)
    symbols = sum(target["publicSymbols"] for target in sources)
    rows["public symbols"] = symbols
    rows["  documented, %"] = round(100 * (1 - len(result["undocumented"]) / symbols), 1) if symbols else 100.0
    for kind, label in (("names", "by names"), ("members", "with members of extensions")):
        sizes = [len(circle["files"]) for target in sources for circle in target["circles"][kind]]
        rows[f"files in circles, {label}"] = sum(sizes)
        rows["  in the largest circle" + (" of these" if kind == "members" else "")] = max(sizes, default=0)
    rows[f"comment lines of more than {WIDTH} columns"] = len(result["wideComments"])
    rows["files that import " + ", ".join(SYSTEM_MODULES)] = len(result["systemImports"])
    rows["imports against the order of the targets"] = len(result["againstOrder"])
    rows["imports that Package.swift does not declare"] = len(result["undeclared"])
    rows["dependencies declared and not imported"] = len(result["unused"])
    return rows


class OtherFile:
    """A file in C: it counts as lines and has comments."""

    def __init__(self, name, source):
        self.name, self.source = name, source

    def comment_lines(self):
        lines, inside = [], False
        for number, text in enumerate(self.source.splitlines(), 1):
            text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
            if inside or "//" in text or "/*" in text:
                lines.append(number)
            # Whichever opens or closes last decides about the next line.
            inside = text.rfind("/*") > text.rfind("*/") or (inside and "*/" not in text)
        return lines


def _files(root, declared):
    """target -> its files. A folder that Package.swift does not name is a target of its own name."""
    folders = {target.path: name for name, target in declared.items() if (root / target.path).is_dir()}
    for top in ("Sources", "Tests"):
        for folder in sorted((root / top).glob("*/")) if (root / top).is_dir() else ():
            path = folder.relative_to(root).as_posix()
            if folder.is_dir() and not any(path == other or other.startswith(path + "/") for other in folders):
                folders[path] = folder.name
    files = {}
    for path, name in folders.items():
        found = []
        for file in sorted((root / path).rglob("*")):
            if file.suffix in (".swift", ".c", ".h") and file.is_file():
                kind = SwiftFile if file.suffix == ".swift" else OtherFile
                source = file.read_text(encoding="utf-8", errors="replace")
                found.append(kind(file.relative_to(root).as_posix(), source))
        if found:
            files[name] = found
    return files


def _is_test(name, declared, files):
    return declared[name].is_test if name in declared else files[name][0].name.startswith("Tests/")


def _add(result, target, key, name, entries):
    target[key] = len(entries)
    result[key] += [dict(entry, target=name) for entry in entries]


def _wide_comments(files):
    return [
        {"file": file.name, "line": number, "columns": len(lines[number - 1])}
        for file in files for lines in [file.source.splitlines()] for number in file.comment_lines()
        if len(lines[number - 1]) > WIDTH]


def _functions(files, c_targets):
    """Functions and initializers of many parameters. Files that import a target in C are the C boundary."""
    found = []
    for file in files:
        boundary = any(module in c_targets for module, _ in file.imports)
        found += [
            {"file": file.name, "line": d.line, "name": _qualified(d), "parameters": d.parameters, "boundary": boundary}
            for d in file.declarations if d.kind in ("func", "init") and d.parameters > LONG]
    return sorted(found, key=lambda f: (-f["parameters"], f["file"], f["line"]))


def _qualified(d):
    return ".".join([scope.name for scope in d.scope] + [d.name])


def _public(files):
    """(file, declaration) of all that another package can name: public, in types that are public."""
    types = {}
    for file in files:
        for d in file.declarations:
            if d.kind in TYPES:
                types[d.name] = types.get(d.name, False) or d.access in ("public", "open")

    def is_public(d):
        if d.kind == "extension":
            # A type from elsewhere is public, or it could not be extended here.
            return types.get(d.name.split(".")[-1], True)
        return d.access in ("public", "open")

    return [
        (file, d) for file in files for d in file.declarations
        if d.kind in SYMBOLS and not d.is_local and is_public(d) and all(is_public(scope) for scope in d.scope)]


def _measure_imports(result, root, declared, files):
    """Which target imports which, and what of it Package.swift or a drawing does not allow."""
    drawn = set()
    for path in ("Package.swift", "docs/architecture.md"):
        if (root / path).exists():
            drawn |= package.drawn_pairs((root / path).read_text(encoding="utf-8"), set(files) | set(declared))
    # What is drawn after a target must not be imported by it.
    after = {}
    for a, b in drawn:
        after.setdefault(a, set()).add(b)
    after = package.reachable({name: after.get(name, set()) for name in set(files) | set(declared)})
    below = package.reachable({name: target.dependencies for name, target in declared.items()})

    result["againstOrder"], result["undeclared"], result["unused"] = [], [], []
    for name, target in result["targets"].items():
        imports, places = {}, {}
        for file in files[name]:
            if isinstance(file, SwiftFile):
                for module in {module for module, _ in file.imports if module in files or module in declared}:
                    imports[module] = imports.get(module, 0) + 1
                    places.setdefault(module, file.name)
        target["imports"] = dict(sorted(imports.items()))
        if name not in declared:
            continue
        for module in sorted(imports):
            entry = {"target": name, "imports": module, "files": imports[module], "file": places[module]}
            if module not in below[name] or module in after.get(name, ()):
                result["againstOrder"].append(entry)
            elif module not in declared[name].dependencies:
                result["undeclared"].append(entry)
        if any(isinstance(file, SwiftFile) for file in files[name]):
            result["unused"] += [
                {"target": name, "declares": other} for other in declared[name].dependencies if other not in imports]
