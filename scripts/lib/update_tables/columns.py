"""Columns of each kind of table: title -> how a cell is made of what the program measured.

A row is a dictionary of what belongs together: for `speed` the results of all attentions at one depth by their names,
for `stages` one result, for `prefill` the results at one length, for `fidelity` one report.
"""

from console import Failure


def _short(text):
    """Without the zero before the point."""
    return text[1:] if text.startswith("0.") else text


def number(value):
    """Three digits, as far as there are any before the point: 640, 26.1, .3, .05."""
    if value >= 99.95:
        return f"{value:.0f}"
    if value < 0.005:
        return "0"
    return _short(f"{value:.1f}" if value >= 0.095 else f"{value:.2f}")


def kl(value):
    return _short(f"{value:.4f}")


def share(value, digits=1):
    digits = 0 if 100 * value >= 99.95 else digits
    return f"{_short(f'{100 * value:.{digits}f}')} %"


def short_share(value):
    """23 % and 1.7 %."""
    return share(value, 0 if 100 * value >= 9.95 else 1)


def times(value):
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def _spread(result):
    spread = result["spread"]
    return (f"{number(result['millisecondsPerToken'])} "
            f"({number(spread['lowerQuartile'])}-{number(spread['upperQuartile'])})")


def _of(name, cell):
    """A column of one attention: empty where it was not measured."""
    return lambda row: cell(row[name]) if name in row else ""


def _field(name, field, form):
    return _of(name, lambda result: "" if result.get(field) is None else form(result[field]))


def _ratio(row):
    if "host" not in row or "retrieval" not in row:
        return ""
    return times(row["host"]["millisecondsPerToken"] / row["retrieval"]["millisecondsPerToken"])


def _error(error):
    return f"{_short('%.3f' % error['mean'])} ({_short('%.3f' % error['high'])})"


def _milliseconds(result):
    return f"{number(result['millisecondsPerToken'])} ms"


def _any(row):
    return next(iter(row.values()))


def _stage(*names):
    def cell(row):
        value = sum(row["stages"][name] for name in names)
        # What rounds to nothing is nothing: exact attention has no centroids.
        return number(value) if value >= 0.005 else ""
    return cell


def _host(which):
    def cell(row):
        for name in ("host", "host-other"):
            if which in (row.get(name, {}).get("configuration") or ""):
                return f"{row[name]['tokensPerSecond']:.0f}"
        return ""
    return cell


def _prefill(name):
    return _of(name, lambda result: f"{result['tokensPerSecond']:.0f}")


def _exponent(value):
    """4.5e-3, as the options take it."""
    digits, exponent = f"{value:.2e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def _of_floor(row):
    if not row.get("noiseFloor") or not row["noiseFloor"]["meanKL"]:
        return ""
    return _short(f"{row['meanKL'] / row['noiseFloor']['meanKL']:.2f}")


def _floor(field, form):
    return lambda row: form(row["noiseFloor"][field]) if row.get("noiseFloor") else ""


KINDS = {
    "speed": {
        "context": lambda row: str(_any(row)["depth"]),
        "host": _of("host", _spread),
        "exact": _of("exact", _spread),
        "retrieval": _of("retrieval", _spread),
        "host / retrieval": _ratio,
        "with static": _field("retrieval", "keysReadWithStatic", share),
        "bytes a token": _field("retrieval", "bytesPerToken", lambda value: f"{number(value / 1e6)} MB"),
        "output error (p95)": _field("retrieval", "outputError", _error),
    },
    "speed-summary": {
        "context": lambda row: f"{_any(row)['depth']:,}",
        "llama.cpp": _of("host", _milliseconds),
        "exact attention": _of("exact", _milliseconds),
        "retrieval": _of("retrieval", _milliseconds),
        "of the context read": _field("retrieval", "keysReadWithStatic", short_share),
    },
    "stages": {
        "context": lambda row: str(row["depth"]),
        "attention": lambda row: row["attention"],
        "host": _stage("host"),
        "sink, window, or all": _stage("exact"),
        "centroids": _stage("centroids"),
        "select": _stage("selection"),
        "retrieved": _stage("retrieved"),
        "tail": _stage("tail"),
        "the rest": _stage("append", "merge", "index"),
        "idle": _stage("idle"),
    },
    "prefill": {
        "tokens": lambda row: str(_any(row)["length"]),
        "host, flash attention off": _host("flash attention off"),
        "host, flash attention on": _host("flash attention on"),
        "exact": _prefill("exact"),
        "retrieval": _prefill("retrieval"),
        "of it index": _of(
            "retrieval", lambda result: share(result["indexShare"]) if result.get("indexShare") else "-"),
    },
    "fidelity": {
        "context": lambda row: str(row["context"]),
        "decoded": lambda row: str(row["tokens"]),
        "tolerance": lambda row: _exponent(row["tolerance"]) if row.get("tolerance") is not None else "",
        "mean KL": lambda row: kl(row["meanKL"]),
        "of the floor": _of_floor,
        "top-1": lambda row: _short(f"{row['top1']:.3f}"),
        "floor: KL": _floor("meanKL", kl),
        "floor: top-1": _floor("top1", lambda value: _short(f"{value:.3f}")),
        "looked up": lambda row: share(row["keysRead"]),
        "with static": lambda row: share(row["keysReadWithStatic"]),
    },
}


def rows(kind, data):
    """What a table of this kind can tell of a run; empty where the run did not measure it."""
    if kind == "fidelity":
        return data.fidelity
    if kind == "prefill":
        return _together(data.prefill, "length")
    if kind == "stages":
        return [
            dict(result, attention=attention(result)) for result in data.decode if result.get("stages") is not None]
    found = _together(data.decode, "depth")
    # A context of one token says nothing about the length of contexts.
    return [row for row in found if kind != "speed-summary" or _any(row)["depth"] > 0]


def attention(result):
    """The name without settings: retrieval of retrieval:tolerance=0.01."""
    return result["policy"].split(":")[0]


def _together(results, key):
    by_key = {}
    for result in results:
        row = by_key.setdefault(result[key], {})
        if attention(result) in row:
            raise Failure(f"two results of {attention(result)} at {result[key]} tokens, and a table has one place.")
        row[attention(result)] = result
    return [by_key[value] for value in sorted(by_key)]
