"""Tests of scripts/update-tables on small pages and results."""

import json
import os
import pathlib
import tempfile
import unittest

import columns
import pages
import runs
import update_tables
from console import Failure


def run():
    suite = unittest.TestSuite()
    for tests in (PageTests, CellTests, RunTests, UpdateTests):
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(tests))
    return 0 if unittest.TextTestRunner().run(suite).wasSuccessful() else 1


GOOD = """# Title

<!-- table: speed small -->
2026-01-02, build 0123abc; a machine

| context | host | retrieval |
| ---: | --- | --- |
| 4096 | 26.1 (25.7-26.4) | |
<!-- end -->

Text.
"""


def decode(policy, depth, milliseconds, **more):
    spread = {"minimum": 0, "lowerQuartile": milliseconds - 1, "median": 0, "upperQuartile": milliseconds + 1,
              "maximum": 9}
    return dict({"policy": policy, "depth": depth, "millisecondsPerToken": milliseconds, "spread": spread}, **more)


STAGES = {name: 0.0 for name in (
    "host", "append", "exact", "centroids", "selection", "retrieved", "tail", "merge", "index", "idle")}
SPEED = {
    "model": "m.gguf", "machine": "M", "threads": 2, "interrupted": False,
    "decode": [
        decode("host", 0, 10.6), decode("exact", 0, 9.4),
        decode("host", 8192, 640.4), decode("exact", 8192, 18.4),
        decode("retrieval:tolerance=0.0045", 8192, 20.6, keysReadWithStatic=0.1162, bytesPerToken=21.96e6,
               outputError={"mean": 0.0254, "high": 0.0761}, stages=dict(STAGES, host=9.96, append=0.02, merge=0.03)),
    ],
    "prefill": [
        {"policy": "host", "configuration": "flash attention on, f16 cache", "length": 512, "tokensPerSecond": 167.8},
        {"policy": "host-other", "configuration": "flash attention off, f16 cache", "length": 512,
         "tokensPerSecond": 154.6},
        {"policy": "retrieval", "length": 512, "tokensPerSecond": 177.0, "indexShare": 0.0504},
    ],
}
FIDELITY = {
    "context": 7680, "tokens": 256, "tolerance": 0.004499999806284904, "meanKL": 0.0039, "top1": 0.953125,
    "keysRead": 0.0431, "keysReadWithStatic": 0.142, "noiseFloor": {"meanKL": 0.0031, "p99KL": 0.1, "top1": 0.9727},
}


class PageTests(unittest.TestCase):
    def faults(self, text):
        return pages.Page(text).faults

    def test_a_good_table(self):
        page = pages.Page(GOOD)
        self.assertEqual(page.faults, [])
        self.assertEqual([(t.kind, t.name, t.titles) for t in page.tables],
                         [("speed", "small", ["context", "host", "retrieval"])])
        self.assertEqual(page.text(), GOOD)

    def test_each_way_to_be_wrong_is_named_with_its_line(self):
        for line, what, text in (
            (4, "no date", GOOD.replace("2026-01-02, build 0123abc; a machine\n", "")),
            (4, "no date", GOOD.replace("2026-01-02, ", "")),
            (4, "no date", GOOD.replace("build 0123abc", "build that")),
            (4, "a date that is none", GOOD.replace("2026-01-02", "2026-02-30")),
            (3, "without an end", GOOD.replace("<!-- end -->\n", "")),
            (3, "without an end", GOOD.replace("<!-- end -->\n", "<!-- table: prefill small -->\n", 1)),
            (9, "an end without", GOOD.replace("<!-- table: speed small -->", "")),
            (3, "a mark that is none", GOOD.replace("<!-- table: speed small -->", "<!-- table: speed -->")),
            (3, "kind sped", GOOD.replace("speed", "sped")),
            (11, "a second table", GOOD.replace("\nText.\n", "") + "\n" + GOOD[GOOD.index("<!--"):]),
            (6, "a column hosts", GOOD.replace("| host |", "| hosts |")),
            (8, "2 cells below a header of 3", GOOD.replace(" | |\n", " |\n")),
            (8, "a row without an end", GOOD.replace("(25.7-26.4) | |", "(25.7-26.4) |  x")),
            (7, "no line of ---", GOOD.replace("| ---: | --- | --- |", "| a | b | c |")),
            (3, "without a header", GOOD.replace("| 4096 | 26.1 (25.7-26.4) | |\n", "")),
            (3, "would remove", GOOD.replace("a machine\n", "a machine\nA sentence.\n")),
            (3, "other lines in it", GOOD.replace("| --- |\n", "| --- |\n\n")),
        ):
            found = self.faults(text)
            self.assertTrue(any(at == line and what in fault for at, fault in found), (line, what, found))

    def test_examples_in_code_are_no_marks(self):
        self.assertEqual(self.faults("    <!-- table: what ever -->\n"), [])
        self.assertNotEqual(self.faults("  <!-- table: speed small -->\n"), [])

    def test_what_is_written_is_good_and_the_rest_stays(self):
        page = pages.Page(GOOD)
        page.write(page.tables[0], "2026-03-04, build 0000000", [["1", "", "2"], ["3", "4", "5"], ["6", "7", "8"]])
        self.assertEqual(page.faults, [])
        self.assertEqual(page.text(), """# Title

<!-- table: speed small -->
2026-03-04, build 0000000

| context | host | retrieval |
| --- | --- | --- |
| 1 | | 2 |
| 3 | 4 | 5 |
| 6 | 7 | 8 |
<!-- end -->

Text.
""")


class CellTests(unittest.TestCase):
    def test_numbers(self):
        for value, text in ((640.4, "640"), (99.96, "100"), (99.94, "99.9"), (26.06, "26.1"), (0.3, ".3"),
                            (0.094, ".09"), (0.05, ".05"), (0.0049, "0"), (0, "0")):
            self.assertEqual(columns.number(value), text, value)
        self.assertEqual([columns.share(value) for value in (0.2258, 0.0081, 1)], ["22.6 %", ".8 %", "100 %"])
        self.assertEqual([columns.short_share(0.2258), columns.short_share(0.0174)], ["23 %", "1.7 %"])
        self.assertEqual([columns.times(2.19), columns.times(31.06)], ["2.2", "31"])

    def cells(self, kind, run):
        return [[cell(row) for cell in columns.KINDS[kind].values()] for row in columns.rows(kind, run)]

    def measured(self):
        run = runs.Run("small")
        run.add(__file__, SPEED)
        run.add(__file__, [FIDELITY])
        return run

    def test_every_kind(self):
        for kind, rows in {
            "speed": [
                ["0", "10.6 (9.6-11.6)", "9.4 (8.4-10.4)", "", "", "", "", ""],
                ["8192", "640 (639-641)", "18.4 (17.4-19.4)", "20.6 (19.6-21.6)", "31", "11.6 %", "22.0 MB",
                 ".025 (.076)"]],
            "speed-summary": [["8,192", "640 ms", "18.4 ms", "20.6 ms", "12 %"]],
            "stages": [["8192", "retrieval", "10.0", "", "", "", "", "", ".05", ""]],
            "prefill": [["512", "155", "168", "", "177", "5.0 %"]],
            "fidelity": [["7680", "256", "4.5e-3", ".0039", "1.26", ".953", ".0031", ".973", "4.3 %", "14.2 %"]],
        }.items():
            self.assertEqual(self.cells(kind, self.measured()), rows)

    def test_two_results_for_one_place(self):
        run = runs.Run("small")
        run.add(__file__, [decode("quest:page=16", 8, 1.0), decode("quest:page=32", 8, 2.0)])
        with self.assertRaises(Failure):
            columns.rows("speed", run)

    def test_the_program_has_these_fields(self):
        sources = update_tables.ROOT / "Sources"
        text = "\n".join(path.read_text(encoding="utf-8") for path in sources.rglob("*.swift"))
        fields = {"decode", "prefill", "machine", "threads", "interrupted", "results", *STAGES, "stages"}
        fields |= {field for result in SPEED["decode"] + SPEED["prefill"] + [FIDELITY] for field in result}
        fields |= {"lowerQuartile", "upperQuartile", "mean", "high"}
        self.assertEqual([field for field in sorted(fields) if f"var {field}:" not in text], [])


class RunTests(unittest.TestCase):
    def read(self, folder, files, *arguments):
        for name, value in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
            os.utime(path, (1.7e9, 1.7e9))  # 2023-11-14 or 15, by the place
        return runs.read([argument.replace("F/", folder + "/") for argument in arguments])

    def test_names_dates_and_kinds(self):
        with tempfile.TemporaryDirectory() as folder:
            files = {"small/speed.json": SPEED, "f.json": FIDELITY, "b.json": {
                "interrupted": False, "results": SPEED["decode"]}}
            found = self.read(folder, files, "F/small/speed.json", "small=F/f.json", "F/b.json")
        self.assertEqual(list(found), ["small", "b"])
        self.assertEqual([len(found["small"].decode), len(found["small"].prefill), len(found["small"].fidelity)],
                         [5, 3, 1])
        self.assertEqual(len(found["b"].decode), 5)
        self.assertEqual(found["small"].machines, {"decode": "M, 2 threads", "prefill": "M, 2 threads"})
        self.assertTrue(found["b"].dates["decode"].startswith("2023-11-1"))

    def test_what_is_refused(self):
        for value in ("{", "[]", "{}", "3", [{"depth": 1}, {"length": 1}], dict(SPEED, interrupted=True)):
            with tempfile.TemporaryDirectory() as folder, self.assertRaises(Failure):
                self.read(folder, {"f.json": value}, "F/f.json")
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(Failure):
            self.read(folder, {"a.json": FIDELITY, "b.json": FIDELITY}, "n=F/a.json", "n=F/b.json")


class UpdateTests(unittest.TestCase):
    def tree(self, folder):
        root = pathlib.Path(folder)
        (root / "docs").mkdir()
        (root / "README.md").write_text(GOOD, encoding="utf-8")
        (root / "docs/a.md").write_text(GOOD.replace("small", "other") + GOOD, encoding="utf-8")
        (root / "docs/b.md").write_text("Nothing.\n", encoding="utf-8")
        return root, update_tables.read_pages(root)

    def run_of(self, name, value):
        run = runs.Run(name)
        run.add(__file__, value)
        return {name: run}

    def test_only_tables_of_the_name_are_written(self):
        with tempfile.TemporaryDirectory() as folder:
            root, found = self.tree(folder)
            written = update_tables.update(found, self.run_of("small", SPEED), "0000000", "2026-05-06")
        self.assertEqual([(path.name, kind, name) for path, kind, name in written],
                         [("README.md", "speed", "small"), ("a.md", "speed", "small")])
        self.assertEqual(update_tables.faults(root, found), [])
        text = found[root / "docs/a.md"].text()
        self.assertTrue(text.startswith(GOOD.replace("small", "other")))
        self.assertIn("2026-05-06, build 0000000; M, 2 threads\n\n| context | host | retrieval |\n| --- | --- | --- |\n"
                      "| 0 | 10.6 (9.6-11.6) | |\n| 8192 | 640 (639-641) | 20.6 (19.6-21.6) |\n<!-- end -->\n", text)

    def test_kinds_that_a_file_does_not_have_stay(self):
        with tempfile.TemporaryDirectory() as folder:
            root, found = self.tree(folder)
            self.assertEqual(update_tables.update(found, self.run_of("small", FIDELITY), "0000000"), [])
        self.assertEqual(found[root / "README.md"].text(), GOOD)

    def test_a_name_without_a_table_and_results_of_another_form(self):
        for measured in (self.run_of("smal", SPEED), self.run_of("small", [{"policy": "host", "depth": 3}])):
            with self.assertRaises(Failure):
                update_tables.update({pathlib.Path("README.md"): pages.Page(GOOD)}, measured, "0000000")

    def test_the_pages_of_this_checkout(self):
        self.assertEqual(update_tables.faults(update_tables.ROOT, update_tables.read_pages(update_tables.ROOT)), [])
