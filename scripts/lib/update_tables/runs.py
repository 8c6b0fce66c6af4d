"""What the program measured: JSON of `ra bench speed`, `decode` and `prefill`, and of `ra fidelity`."""

import datetime
import json
import pathlib

from console import Failure


class Run:
    """Everything of one name, from one file or several."""

    def __init__(self, name):
        self.name = name
        self.decode, self.prefill, self.fidelity = [], [], []
        self.dates, self.machines = {}, {}  # by kind of result

    def add(self, path, value):
        """Takes in a file's value. A kind of result that is there already is not added to: a table is of one run."""
        # The program leaves the time to the file.
        date = datetime.date.fromtimestamp(pathlib.Path(path).stat().st_mtime).isoformat()
        for kind, results in _sort(path, value).items():
            if not results:
                continue
            if getattr(self, kind):
                raise Failure(f"{path}: {self.name} has results of {kind} already, and a table is of one run.")
            setattr(self, kind, results)
            self.dates[kind] = date
            if isinstance(value, dict) and "machine" in value and "threads" in value:
                threads = value["threads"]
                self.machines[kind] = f"{value['machine']}, {threads} thread{'' if threads == 1 else 's'}"


def read(arguments):
    """name -> run, of arguments `NAME=FILE` or `FILE`; a report's speed.json has the name of its folder."""
    found = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator:
            path = argument
            file = pathlib.Path(argument)
            name = file.resolve().parent.name if file.name == "speed.json" else file.stem
        try:
            value = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise Failure(f"{path} is no JSON: {error}.")
        found.setdefault(name, Run(name)).add(path, value)
    return found


def _sort(path, value):
    """The results of a file by kind."""
    if isinstance(value, dict) and value.get("interrupted"):
        raise Failure(f"{path} was ended early: a table is of a whole run.")
    if isinstance(value, dict) and "decode" in value and "prefill" in value:
        return {"decode": value["decode"], "prefill": value["prefill"]}
    results = value["results"] if isinstance(value, dict) and "results" in value else value
    results = results if isinstance(results, list) else [results]
    for kind, field in (("decode", "depth"), ("prefill", "length"), ("fidelity", "meanKL")):
        if results and all(isinstance(result, dict) and field in result for result in results):
            return {kind: results}
    raise Failure(f"{path} has nothing of `ra bench speed`, `ra bench decode`, `ra bench prefill` or `ra fidelity`.")
