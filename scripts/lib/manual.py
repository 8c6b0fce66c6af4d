"""Writes manual pages from `ra --experimental-dump-help`: a page for each command, subcommands included.

What the commands do not say of themselves, variables and files, is in manual_text.py.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess

import console
import mdoc
from console import Failure, say
from manual_text import SECTIONS
from source_date import source_date


class Page:
    """One command's page."""

    def __init__(self, command, parents, version, date, names):
        self.command = command
        self.path = [*parents, command["commandName"]]
        self.version, self.date, self.names = version, date, names

    @property
    def name(self):
        return "-".join(self.path)

    def text(self):
        command = self.command
        paragraphs, examples = split_discussion(command.get("discussion", ""))
        abstract = command["abstract"]
        lines = [
            f".Dd {self.date:%B} {self.date.day}, {self.date.year}",
            f".Dt {self.name.upper()} 1",
            f".Os ra {self.version}",
            ".Sh NAME",
            f".Nm {self.name}",
            f".Nd {mdoc.escape(abstract[0].lower() + abstract[1:].rstrip('.'))}",
            ".Sh SYNOPSIS",
            *self.synopsis(),
            ".Sh DESCRIPTION",
            *mdoc.paragraph(abstract),
        ]
        for paragraph in paragraphs:
            lines += [".Pp", *mdoc.paragraph(paragraph)]
        lines += self.arguments()
        lines += self.subcommands()
        if len(self.path) == 1:
            lines += SECTIONS
        if examples:
            lines += [".Sh EXAMPLES", *mdoc.display(examples)]
        lines += self.see_also()
        return "\n".join(lines) + "\n"

    def synopsis(self):
        lines = [f".Nm {' '.join(self.path)}"]
        if visible_subcommands(self.command):
            return [*lines, ".Ar subcommand", ".Op Ar options"]
        shown = [item for item in self.command.get("arguments", []) if item.get("shouldDisplay", True)]
        for item in shown:
            if item["kind"] == "option" and not item["isOptional"]:
                lines.append(f".Fl {flag(item['preferredName'])} Ar {mdoc.argument(item['valueName'])}")
        lines.append(".Op Ar options")
        for item in shown:
            if item["kind"] == "positional":
                ellipsis = " ..." if item["isRepeating"] and "..." not in value_name(item) else ""
                inner = f"Ar {mdoc.argument(value_name(item))}{ellipsis}"
                lines.append(f".Op {inner}" if item["isOptional"] else f".{inner}")
        return lines

    @staticmethod
    def _place(title, items):
        """The model comes first, then what has no title, which is last where it is nothing but what every command has."""
        if title:
            return -1 if title == "Model" else 1
        return 2 if all(item.get("valueName") in ("help", "version") for item in items) else 0

    def arguments(self):
        """Arguments and options, in the sections that the program's own help has."""
        shown = [item for item in self.command.get("arguments", []) if item.get("shouldDisplay", True)]
        lines = []
        positional = [item for item in shown if item["kind"] == "positional"]
        if positional:
            lines += [".Sh ARGUMENTS", ".Bl -tag -width indent"]
            for item in positional:
                lines += [f".It Ar {mdoc.argument(value_name(item))}", *mdoc.paragraph(description(item))]
            lines.append(".El")
        sections = {}
        for item in shown:
            if item["kind"] != "positional":
                sections.setdefault(item.get("sectionTitle", ""), []).append(item)
        if sections:
            lines.append(".Sh OPTIONS")
        for title in sorted(sections, key=lambda title: self._place(title, sections[title])):  # the sort is stable
            if title:
                lines.append(f".Ss {mdoc.escape(title)}")
            lines.append(".Bl -tag -width indent")
            for item in sections[title]:
                names = sorted(item["names"], key=lambda name: name["kind"] != "short")
                head = " , ".join(f"Fl {flag(name)}" for name in names)
                if item["kind"] == "option":
                    head += f" Ar {mdoc.argument(item['valueName'])}"
                lines += [f".It {head}", *mdoc.paragraph(description(item))]
            lines.append(".El")
        return lines

    def subcommands(self):
        commands = visible_subcommands(self.command)
        if not commands:
            return []
        lines = [".Sh COMMANDS", ".Bl -tag -width indent"]
        for command in commands:
            lines += [f".It Xr {self.name}-{command['commandName']} 1", *mdoc.paragraph(command["abstract"])]
        return [*lines, ".El"]

    def see_also(self):
        others = ["-".join(self.path[:count]) for count in range(1, len(self.path))]
        if len(self.path) == 2:
            others += [name for name in self.names if name.count("-") == 1 and name != self.name]
        if not others:
            return []
        lines = [f".Xr {name} 1 ," for name in sorted(others)]
        return [".Sh SEE ALSO", *lines[:-1], lines[-1].removesuffix(" ,")]


def visible_subcommands(command):
    return [
        item
        for item in command.get("subcommands", [])
        if item.get("shouldDisplay", True) and item["commandName"] != "help"
    ]


def split_discussion(text):
    """Paragraphs, and the lines of the examples that stand in them."""
    paragraphs, examples = [], []
    for paragraph in text.split("\n\n"):
        first, colon, rest = paragraph.strip().partition(":")
        if colon and first in ("Example", "Examples"):
            examples += [part.strip() for part in rest.strip().split("\n")]
        elif paragraph.strip():
            paragraphs.append(paragraph)
    return paragraphs, examples


def flag(name):
    return ("-" if name["kind"] == "long" else "") + name["name"]


def value_name(item):
    return item["valueName"].replace("> ", " ").replace(" <", " ")


def description(item):
    """What the help says, values and default included."""
    text = " ".join(filter(None, [item.get("abstract"), item.get("discussion")]))
    if item.get("allValues") and "(values:" not in text:
        text += f" Values: {', '.join(item['allValues'])}."
    if item.get("defaultValue") and "(default:" not in text:
        text += f" (default: {item['defaultValue']})"
    return text


def pages(command, version, date):
    """All pages: the command's own first."""
    names = []

    def walk(command, parents):
        names.append("-".join([*parents, command["commandName"]]))
        yield Page(command, parents, version, date, names)
        for child in visible_subcommands(command):
            yield from walk(child, [*parents, command["commandName"]])

    return list(walk(command, []))


#: A home that nobody has, so that no page tells of that of whoever wrote it.
HOME = "/home-of-the-user"


def ask(program, *arguments):
    """What a program writes to standard output, with ~ for the user's home."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RA_", "XDG_"))}
    environment["HOME"] = HOME
    try:
        done = subprocess.run(
            [program, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{program} cannot be run: {error}.")
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise Failure(f"'{program} {' '.join(arguments)}' failed with exit status {done.returncode}: {words}")
    # JSON may have its slashes escaped.
    return done.stdout.decode().replace(HOME.replace("/", "\\/"), "~").replace(HOME, "~")


def write_pages(program, folder):
    """Writes the pages of a program, and returns their paths."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    command = json.loads(ask(program, "--experimental-dump-help"))["command"]
    version = ask(program, "--version").strip()
    date = datetime.datetime.fromtimestamp(source_date(), datetime.timezone.utc)
    written = []
    for page in pages(command, version, date):
        path = folder / f"{page.name}.1"
        path.write_text(page.text())
        written.append(path)
    return written


def main():
    parser = argparse.ArgumentParser(prog="manual", description="Writes the manual pages of a built ra.")
    parser.add_argument("--program", default=".build/release/ra", help="the built program (default: %(default)s)")
    parser.add_argument("folder", help="where they go; made when it is missing")
    arguments = parser.parse_args()
    written = write_pages(os.path.abspath(arguments.program), arguments.folder)
    say(f"{len(written)} pages are in {arguments.folder}")
    return 0


if __name__ == "__main__":
    console.run("manual", main)
