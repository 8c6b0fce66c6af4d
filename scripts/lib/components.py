"""What a built program is made of, with versions and licences: found in the build itself, and not in a list by hand."""

import json
import pathlib
import re
import typing

from console import Failure
from llama_source import FOLDER as LLAMA_SOURCE
from llama_source import LLAMA_COMMIT, LLAMA_VERSION, SOURCE
from toolchain import DEPS, MAC, ROOT, Compiler, text

OWN_LICENCES = ROOT / "packaging" / "licences"


class Component(typing.NamedTuple):
    """A part of the program that somebody else wrote."""

    name: str
    version: str
    #: SPDX licence expression.
    licence: str
    #: Where it comes from, for people.
    home: str
    #: File names and their texts: what has to be passed on with it.
    texts: dict
    #: A package URL (purl), or nothing.
    purl: str = ""
    #: The SHA-256 of what it was made of, or nothing.
    sha256: str = ""


def components(scratch, swift):
    """All parts of the program in a build folder."""
    parts = [*swift_packages(scratch), *_llama(), *_page(), _novel()]
    if not MAC:
        parts += _runtime(swift)
    return sorted(parts, key=lambda part: part.name.lower())


# --- Swift packages ---------------------------------------------------------------------------------------------------


def swift_packages(scratch):
    """The packages of which something was linked. More of them are fetched than that."""
    try:
        state = json.loads((scratch / "workspace-state.json").read_text())
        dependencies = state["object"]["dependencies"]
        used = linked_packages(scratch)
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise Failure(f"what SwiftPM left in {scratch} cannot be read: {error}; build again.")
    parts = []
    for dependency in dependencies:
        name, folder = dependency["packageRef"]["identity"], scratch / "checkouts" / dependency["subpath"]
        if dependency["subpath"] not in used:
            continue
        version = dependency["state"]["checkoutState"].get("version")
        if not version:
            raise Failure(f"the package {name} has no version, but a branch or a revision alone.")
        home = dependency["packageRef"]["location"].removesuffix(".git")
        texts = {path.name: path.read_text() for path in sorted(folder.glob("*")) if _is_legal(path)}
        if not texts:
            raise Failure(f"the package {name} has no licence in {folder}.")
        host = home.split("://", 1)[-1]
        parts.append(Component(name, version, _identify(texts, name), home, texts, f"pkg:swift/{host}@{version}"))
    return parts


def linked_packages(scratch):
    """The folders of packages whose objects the linker was given."""
    manifest = (scratch / "release.yaml").read_text()
    packages = {}
    for command in re.split(r"\n\n(?=  \")", manifest):
        module = re.search(r"/release/([^/\"]+)\.build/", command)
        package = re.search(r"/checkouts/([^/\"]+)/", command)
        if module and package:
            packages.setdefault(module[1], package[1])
    objects = (scratch / "release" / "ra.product" / "Objects.LinkFileList").read_text()
    modules = set(re.findall(r"/release/([^/\"]+)\.build/", objects))
    return {packages[module] for module in modules if module in packages}


def _is_legal(path):
    return path.is_file() and re.match(r"(licen[cs]e|notice|copying)\b", path.name, re.IGNORECASE)


def _identify(texts, name):
    whole = "\n".join(content for file, content in texts.items() if not file.lower().startswith("notice"))
    if "Apache License" in whole:
        return "Apache-2.0 WITH Swift-exception" if "Runtime Library Exception" in whole else "Apache-2.0"
    if "Permission is hereby granted, free of charge" in whole:
        return "MIT"
    raise Failure(f"the licence of {name} is none that scripts/lib/components.py knows.")


# --- Others -----------------------------------------------------------------------------------------------------------


def _llama():
    """llama.cpp, and what it brings."""
    home = "https://github.com/ggml-org/llama.cpp"
    kernels = (LLAMA_SOURCE / "ggml/src/ggml-cpu/llamafile/sgemm.cpp").read_text()
    header = "\n".join(line.removeprefix("//").strip() for line in kernels.split("\n\n")[0].splitlines())
    chat = DEPS / "chat"
    json_licence = (chat / "LICENSE-jsonhpp").read_text()
    return [
        Component(
            "llama.cpp", f"{LLAMA_VERSION}+{LLAMA_COMMIT}", "MIT", home, {"LICENSE": (chat / "LICENSE").read_text()},
            f"pkg:github/ggml-org/llama.cpp@{LLAMA_COMMIT}", SOURCE.sha256,
        ),
        Component(
            "llamafile-sgemm", f"llama.cpp-{LLAMA_COMMIT}", "MIT", "https://github.com/Mozilla-Ocho/llamafile",
            {"LICENSE": header + "\n"},
        ),
        Component(
            "nlohmann-json", _macro_version(LLAMA_SOURCE / "vendor/nlohmann/json.hpp"), "MIT",
            "https://github.com/nlohmann/json", {"LICENSE": json_licence},
        ),
    ]


def _macro_version(path):
    parts = [
        re.search(rf"NLOHMANN_JSON_VERSION_{part}\s+(\d+)", path.read_text()) for part in ("MAJOR", "MINOR", "PATCH")
    ]
    if not all(parts):
        raise Failure(f"{path} does not tell its version.")
    return ".".join(part[1] for part in parts)


def _page():
    """The libraries of the server's page, by the table in their folder."""
    folder = ROOT / "Sources/InferenceServer/Resources/Page"
    table = (folder / "vendor/README.md").read_text()
    rows = re.findall(r"\| `(\S+)` \| \[(\S+)\]\((\S+?)\) (\S+) \| (.+?) \|.*\| `([0-9a-f]{64})` \|", table)
    files = {path.name for path in (folder / "vendor").glob("*.mjs")}
    if {row[0] for row in rows} != files:
        raise Failure(f"the table in {folder / 'vendor/README.md'} and the files beside it differ.")
    texts = {"licences.txt": (folder / "licences.txt").read_text()}
    return [
        Component(
            name.lower(), version, licence.replace(" or ", " OR "), home, texts, f"pkg:npm/{name.lower()}@{version}",
            sha256,
        )
        for _, name, home, version, licence, sha256 in rows
    ]


def _novel():
    text = "Jane Austen, Persuasion, 1817, chapters 1-12: a text to measure with, in the public domain.\n"
    return Component("persuasion", "1817", "LicenseRef-public-domain", "Texts/persuasion.txt", {"NOTICE": text})


def _runtime(swift):
    """What a program for Linux has inside of the compilers that made it."""
    version = re.search(r"Swift version (\S+)", text([swift, "--version"]))
    info = json.loads(text([swift, "-print-target-info"]) or "{}")
    resources = info.get("paths", {}).get("runtimeResourcePath")
    licence = pathlib.Path(resources).parents[1] / "share" / "swift" / "LICENSE.txt" if resources else None
    if not version or not licence or not licence.exists():
        raise Failure(f"'{swift}' does not tell its version, or has no licence in share/swift/LICENSE.txt.")
    gcc = text([*Compiler().cxx, "-dumpfullversion", "-dumpversion"]).strip() or "unknown"
    return [
        Component(
            "swift-runtime", version[1], "Apache-2.0 WITH Swift-exception", "https://www.swift.org",
            {"LICENSE.txt": licence.read_text()},
        ),
        Component(
            "icu", f"swift-{version[1]}", "Unicode-3.0", "https://icu.unicode.org",
            {"LICENSE": (OWN_LICENCES / "icu.txt").read_text()},
        ),
        Component(
            "gcc-runtime", gcc, "GPL-3.0-or-later WITH GCC-exception-3.1", "https://gcc.gnu.org",
            {"NOTICE": (OWN_LICENCES / "gcc-runtime.txt").read_text()},
        ),
    ]


def write_licences(parts, folder):
    """A folder for each part, and a list of all."""
    lines = ["What is inside ra, and under which terms; the texts are in the folders of these names.", ""]
    for part in parts:
        (folder / part.name).mkdir(parents=True)
        for name, content in part.texts.items():
            (folder / part.name / name).write_text(content)
        lines.append(f"{part.name} {part.version}: {part.licence}, {part.home}")
    (folder / "README").write_text("\n".join(lines) + "\n")
