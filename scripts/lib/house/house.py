"""Measures the structure of the sources, now or beside another revision.

Lines, files and types of every target; files and protocols that name unsafe pointers; functions of many parameters;
public symbols without a comment; circles of files (how they are found: circles.py); comment lines that are too wide;
which target imports which, and what of that goes against Package.swift or the drawing in docs/architecture.md.
The sources are read as text: no compiler is asked.
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))  # console, which all scripts share

import console
import measures
import report
from console import Failure

ROOT = pathlib.Path(__file__).resolve().parents[3]
READ = ("Package.swift", "docs/architecture.md", "Sources", "Tests")  # what is measured, and what says how


@contextlib.contextmanager
def revision(root, name):
    """A folder with the sources of a git revision, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        listed = _git(root, "ls-tree", "--name-only", name, *READ).decode().splitlines()
        if not listed:
            raise Failure(f"{name} holds none of {', '.join(READ)}.")
        archive = pathlib.Path(folder) / "archive.tar"
        archive.write_bytes(_git(root, "archive", "--format=tar", name, *listed))
        tree = pathlib.Path(folder) / "tree"
        with tarfile.open(archive) as file:
            # Links are left out: nothing of the sources needs one, and they could lead elsewhere.
            file.extractall(tree, members=[member for member in file if member.isfile() or member.isdir()])
        yield tree


def _git(root, *arguments):
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise Failure("git is needed for --against and was not found.")
    if done.returncode:
        raise Failure(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}.")
    return done.stdout


def check(now):
    """Names what must not be, for machines: comment lines that are too wide, imports of the C library or against the order."""
    faults = [
        f"{entry['file']}:{entry['line']}: a comment of {entry['columns']} columns, more than {measures.WIDTH}"
        for entry in now["wideComments"]]
    faults += [
        f"{entry['file']}: {entry['target']} must not import {entry['imports']}" for entry in now["againstOrder"]]
    faults += [
        f"{entry['file']}: imports the C library, which only {measures.SYSTEM_IMPORTER} does: import Platform"
        for entry in now["systemImports"] if entry["file"] != measures.SYSTEM_IMPORTER]
    faults += [f"{file}: braces do not balance" for file in now["unbalanced"]]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(
        prog="house", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=pathlib.Path, default=ROOT, help="a checkout (default: this one)")
    parser.add_argument("--against", metavar="REVISION", help="print a git revision of that checkout beside it")
    parser.add_argument("--list", action="store_true", help="list what was counted, with files and lines")
    parser.add_argument("--json", action="store_true", help="print everything, lists included, as JSON")
    parser.add_argument(
        "--check", action="store_true",
        help="print wide comment lines, imports of the C library and against the order, and fail if any")
    parser.add_argument("--self-test", action="store_true", help="test this script on small sources of its own")
    options = parser.parse_args()
    if options.self_test:
        import selftest
        return selftest.run()
    if not (options.path / "Sources").is_dir():
        raise Failure(f"{options.path} has no folder Sources: it is no checkout of a Swift package.")

    now, before = measures.measure(options.path), None
    if options.check:
        return check(now)
    if options.against:
        with revision(options.path, options.against) as tree:
            before = measures.measure(tree)
    if options.json:
        print(json.dumps({"now": now, "before": before} if before else now, indent=1))
        return 0
    print(report.text(now, before, name_before=options.against or ""))
    if options.list:
        print("\n" + report.lists(now))
    return 0


if __name__ == "__main__":
    console.run("house", main)
