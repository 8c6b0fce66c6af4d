"""The notes of a release: what CHANGELOG.md says of a version."""

import argparse
import re

import console
from console import Failure
from toolchain import ROOT

CHANGELOG = ROOT / "CHANGELOG.md"
#: The one place where the version stands.
VERSION_FILE = ROOT / "Sources" / "ra" / "RaCommand.swift"
UNRELEASED = "Unreleased"
HEADING = re.compile(r"^## (?P<name>\S+)(?: - (?P<date>\d{4}-\d\d-\d\d))?$", re.MULTILINE)


def source_version():
    """The version that `ra --version` prints, from the sources."""
    found = re.findall(r'^\s*version: "([^"]+)",$', VERSION_FILE.read_text(), re.MULTILINE)
    if len(found) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?", found[0]):
        raise Failure(f"{VERSION_FILE} should have one version, such as 1.2.3; it has {', '.join(found) or 'none'}.")
    return found[0]


def sections(text):
    """The changelog's sections, newest first: (name, date or None, text)."""
    headings = list(HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return [
        (heading["name"], heading["date"], text[heading.end() : end].strip())
        for heading, end in zip(headings, ends)
    ]


def notes(version):
    """What changed in a version."""
    found = {name: text for name, _, text in sections(CHANGELOG.read_text())}
    if version not in found:
        raise Failure(f"{CHANGELOG} has no section '## {version}'; it has {', '.join(found) or 'none'}.")
    text = found[version]
    if not text:
        raise Failure(f"the section '## {version}' of {CHANGELOG} is empty.")
    return text + "\n"


def check_dated(version):
    """Refuses a version whose section has no date: it is not released."""
    if not any(name == version and date for name, date, _ in sections(CHANGELOG.read_text())):
        raise Failure(f"{CHANGELOG} has no section '## {version} - YYYY-MM-DD'.")


def main():
    parser = argparse.ArgumentParser(
        prog="release-notes", description="Prints what the changelog says of a version, in Markdown."
    )
    parser.add_argument("version", nargs="?", help=f"the version, or {UNRELEASED} (default: the one that the sources have)")
    arguments = parser.parse_args()
    print(notes(arguments.version or source_version()), end="")
    return 0


if __name__ == "__main__":
    console.run("release-notes", main)
