"""Writes tables of README and docs anew from the JSON of `ra bench speed`, `decode` and `prefill` and `ra fidelity`.

Tables stand between marks, `<!-- table: KIND NAME -->` and `<!-- end -->`, with the date and the build of their run. A
file is for the tables of its name: NAME=FILE, or that of its folder for a speed.json, or else its own. Tables of other
names, and of kinds that the file says nothing about, stay as they are; so does the header of a table, which says what
its columns are. Kinds: speed, speed-summary, stages, prefill, fidelity.

Example: scripts/update-tables .build/bench-speed/smollm2/speed.json smollm2=fidelity.json
"""

import argparse
import os
import pathlib
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))  # console, which all scripts share

import columns
import console
import pages
import runs
from console import Failure, say

ROOT = pathlib.Path(__file__).resolve().parents[3]


def read_pages(root):
    """path -> page, of those that have tables or faults."""
    paths = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    found = {path: pages.Page(path.read_text(encoding="utf-8")) for path in paths if path.exists()}
    return {path: page for path, page in found.items() if page.tables or page.faults}


def faults(root, found):
    return [
        f"{path.relative_to(root)}:{line}: {what}" for path, page in found.items() for line, what in page.faults]


def update(found, measured, build, date=None):
    """Writes all tables that were measured into the pages, which stay in memory; (path, kind, name) of each."""
    written, named = [], set()
    for path, page in found.items():
        for kind, name in [(table.kind, table.name) for table in page.tables]:
            run = measured.get(name)
            named.add(name)
            if run is None:
                continue
            # Where a table is changes with what is written above it.
            table = next(table for table in page.tables if (table.kind, table.name) == (kind, name))
            try:
                rows = columns.rows(kind, run)
                body = [[columns.KINDS[kind][title](row) for title in table.titles] for row in rows]
            except (KeyError, TypeError) as error:
                raise Failure(f"the results of {name} are not as {kind} needs them: {error!r}.")
            if not body:
                continue
            results = kind if kind in run.dates else "decode"
            stamp = f"{date or run.dates[results]}, build {build}"
            if results in run.machines:
                stamp += f"; {run.machines[results]}"
            page.write(table, stamp, body)
            written.append((path, kind, name))
    for name in measured:
        if name not in named:
            raise Failure(f"no table is named {name}; there are {', '.join(sorted(named)) or 'none'}.")
    return written


def build_of(root):
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode:
        raise Failure("--build is needed: git does not tell the commit of this checkout.")
    return done.stdout.decode().strip()


def save(path, text):
    """Replaces a page as a whole, so that it is never half written."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


def main():
    parser = argparse.ArgumentParser(
        prog="update-tables", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="[NAME=]FILE", help="JSON of a whole run")
    parser.add_argument("--build", metavar="COMMIT", help="what was measured (default: the commit that is checked out)")
    parser.add_argument("--date", metavar="YYYY-MM-DD", help="of the run (default: when the file was written)")
    parser.add_argument("--check", action="store_true", help="name what is wrong with marked tables, and fail if any")
    parser.add_argument("--self-test", action="store_true", help="test this script on small pages of its own")
    options = parser.parse_args()
    if options.self_test:
        import selftest
        return selftest.run()
    if not options.files and not options.check:
        parser.error("give files, --check or --self-test")

    found = read_pages(ROOT)
    wrong = faults(ROOT, found)
    if options.check and options.files:
        parser.error("--check looks at pages as they are: give no files")
    for fault in wrong:
        print(fault)
    if wrong or options.check:
        return 1 if wrong else 0

    build = options.build or build_of(ROOT)
    if not pages.STAMP.match(f"2000-01-01, build {build}"):
        raise Failure(f"--build is {build}, but must be a commit of 7 to 40 hex digits, or a version.")
    if options.date and not pages.is_date(options.date):
        raise Failure(f"--date is {options.date}, but must be a date as 2026-11-22.")
    written = update(found, runs.read(options.files), build, options.date)
    for path in {path: None for path, _, _ in written}:
        save(path, found[path].text())
    for path, kind, name in written:
        say(f"{path.relative_to(ROOT)}: {kind} {name}, build {build}")
    if not written:
        raise Failure("the files say nothing that a table of their names has a place for.")
    return 0


if __name__ == "__main__":
    console.run("update-tables", main)
