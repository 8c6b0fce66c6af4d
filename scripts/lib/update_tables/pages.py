"""Tables in Markdown between marks, found and written.

    <!-- table: speed smollm2 -->
    2026-11-22, build 3ca2aff

    | context | host | retrieval |
    | --- | --- | --- |
    | 4096 | 26.1 (25.7-26.4) | 11.9 (11.8-12.0) |
    <!-- end -->

The first word of a mark is the kind of table, the second names the run. The header belongs to the page: its titles say
which columns the table has, in which order.
"""

import datetime
import re
import typing

import columns

BEGIN = re.compile(r"^<!-- table: (\S+) (\S+) -->$")
END = "<!-- end -->"
ANY = re.compile(r"^ {0,3}<!--\s*(table|end)\b")  # four spaces make code of it
STAMP = re.compile(r"^(\d{4}-\d{2}-\d{2}), build ([0-9a-f]{7,40}|v?\d+\.\d+\.\d+)(; .*)?$")


class Table(typing.NamedTuple):
    kind: str
    name: str
    line: int  # of the mark, from 1
    first: int  # index of the line behind the mark
    end: int  # index of the line of the end
    titles: list  # of the columns


class Page:
    """The lines of a page with its marked tables, and the faults of these."""

    def __init__(self, text):
        self.lines = text.split("\n")
        self.tables, self.faults = [], []
        self._read()

    def text(self):
        return "\n".join(self.lines)

    def write(self, table, stamp, rows):
        """Replaces what a table says, from the stamp on; the header stays. Finds the tables of the page anew."""
        header = next(line for line in self.lines[table.first:table.end] if line.startswith("|"))
        body = [row_text(row) for row in rows]
        self.lines[table.first:table.end] = [stamp, "", header, row_text(["---"] * len(table.titles)), *body]
        self.tables, self.faults = [], []
        self._read()

    def _fault(self, index, what):
        self.faults.append((index + 1, what))

    def _read(self):
        begun = None
        for index, line in enumerate(self.lines):
            begin = BEGIN.match(line)
            if begin:
                if begun:
                    self._fault(begun[1], "a table without an end")
                begun = (begin, index)
            elif line == END:
                if begun:
                    self._table(*begun, index)
                else:
                    self._fault(index, "an end without a table")
                begun = None
            elif ANY.match(line):
                self._fault(index, f"a mark that is none: {line.strip()}")
        if begun:
            self._fault(begun[1], "a table without an end")

    def _table(self, begin, index, end):
        kind, name = begin.groups()
        if kind not in columns.KINDS:
            return self._fault(index, f"a table of kind {kind}, known are {', '.join(columns.KINDS)}")
        if any((table.kind, table.name) == (kind, name) for table in self.tables):
            return self._fault(index, f"a second table {kind} {name}")
        rows = [(at, line) for at, line in enumerate(self.lines[index + 1:end], index + 1) if line.startswith("|")]
        titles = cells(rows[0][1]) if rows else []
        self.tables.append(Table(kind, name, index + 1, index + 1, end, titles))
        self._check(index, end, rows)
        for title in titles:
            if title not in columns.KINDS[kind]:
                self._fault(rows[0][0], f"a column {title}, known in {kind} are {', '.join(columns.KINDS[kind])}")

    def _check(self, index, end, rows):
        stamp = STAMP.match(self.lines[index + 1])
        if not stamp:
            self._fault(index + 1, "no date and build behind the mark, as in 2026-11-22, build 3ca2aff")
        elif not is_date(stamp.group(1)):
            self._fault(index + 1, f"a date that is none: {stamp.group(1)}")
        if len(rows) < 3:
            self._fault(index, "a table without a header, a line below it and a row")
            return
        if any(not re.fullmatch(r":?-{3,}:?", cell) for cell in cells(rows[1][1])):
            self._fault(rows[1][0], "no line of --- below the header")
        for at, line in rows:
            if not line.rstrip().endswith("|"):
                self._fault(at, "a row without an end")
            elif len(cells(line)) != len(cells(rows[0][1])):
                self._fault(at, f"{len(cells(line))} cells below a header of {len(cells(rows[0][1]))}")
        if [at for at, _ in rows] != list(range(rows[0][0], rows[0][0] + len(rows))):
            self._fault(index, "a table with other lines in it")
        others = [line for line in self.lines[index + 2:end] if line.strip() and not line.startswith("|")]
        if others:
            self._fault(index, f"a line that writing the table would remove: {others[0][:60]}")


def is_date(text):
    try:
        return bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) and datetime.date.fromisoformat(text))
    except ValueError:
        return False


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def row_text(row):
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in row)
