"""Hides a fact in a novel, asks a small model for it with retrieval, exact and llama.cpp's attention, and compares.

The same document and question go to all, at temperature 0, so the attention is the only difference.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import console
from console import Failure, say

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = ROOT / "Texts" / "alice.txt"
START = "CHAPTER I."
# About 7,200 tokens at the 3.7 bytes a token that this text has with SmolLM2: with question and answer just below the
# 8,192 that the model was trained for.
BYTES = 26_500
MODEL = "smollm2"
CITIES = ["Reykjavik", "Lisbon", "Nairobi", "Montevideo", "Kyoto", "Tallinn", "Valparaiso", "Zanzibar", "Ulaanbaatar"]


def make_document(city, number, depth):
    """The novel's beginning with the fact between two of its paragraphs; returns it with the depth it has in truth."""
    text = TEXT.read_text(encoding="utf-8")
    text = text[text.index(START) :]
    paragraphs, size = [], 0
    for paragraph in re.split(r"\n{2,}", text):
        size += len(paragraph.encode()) + 2
        if size > BYTES:
            break
        paragraphs.append(paragraph)
    # Where the text before a boundary comes closest to the wanted share of the whole.
    ends, end = [0], 0
    for paragraph in paragraphs:
        end += len(paragraph) + 2
        ends.append(end)
    place = min(range(1, len(ends)), key=lambda index: abs(ends[index] / end - depth))
    paragraphs.insert(place, f"The special magic number for {city} is: {number}.")
    return "\n\n".join(paragraphs) + "\n", ends[place] / end


# What is compared: the name on the command line, and the one in the table.
ATTENTIONS = {"retrieval": "retrieval", "exact": "exact", "host": "llama.cpp's own"}


def run_for_json(command, name):
    """The JSON that a command writes; its progress goes to standard error by itself."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        output = process.communicate()[0]
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.returncode != 0:
        raise Failure(f"'{name}' failed with exit status {process.returncode}.")
    return json.loads(output)


def ask(tool, model, document, question, attention):
    """Runs the tool, shows its answer, and returns what it reports; the tool tells its progress by itself."""
    command = [
        *(str(tool), "generate", "--model", model, "--document", str(document), "--prompt", question),
        *("--attention", attention, "--max-tokens", "32", "--temperature", "0", "--draft", "off", "--json"),
    ]
    if attention == "retrieval":
        command.append("--evidence")
    print(f"\n== {ATTENTIONS[attention]} attention", flush=True)
    say("$ " + shlex.join(["ra", *command[1:]]))
    report = run_for_json(command, f"ra generate --attention {attention}")
    print(report["text"].strip(), flush=True)
    for citation in report.get("evidence", {}).get("citations", []):
        place = f", {citation['place']}" if citation.get("place") else ""
        print(f'from: {citation["documentTitle"]}{place}: "{" ".join(citation["citedText"].split())}"', flush=True)
    return report


LONG_DEPTH = 32_768
LONG_PERIOD = 2_048


def time_long_context(tool, model):
    """What a token takes far beyond the document, by attention: mean of some steps, and the process's memory."""
    command = [
        *(str(tool), "bench", "decode", "--model", model, "--text", str(TEXT), "--synthetic"),
        *("--synthetic-period", str(LONG_PERIOD), "--depth", str(LONG_DEPTH), "--allow-beyond-context"),
        *("--attention", ",".join(ATTENTIONS), "--tokens", "16", "--rounds", "2", "--json"),
    ]
    say("\n$ " + shlex.join(["ra", *command[1:]]))
    return {result["policy"]: result for result in run_for_json(command, "ra bench decode")["results"]}


def long_table(results):
    rows = [("attention", "a token", "looked at")]
    for attention, name in ATTENTIONS.items():
        result = results[attention]
        share = result.get("keysReadWithStatic")
        rows.append(
            (
                name,
                f"{result['millisecondsPerToken']:.1f} ms",
                f"{100 * share:.1f} %" if share is not None else "all",
            )
        )
    return aligned(rows)


def aligned(rows):
    """Columns as wide as they need be, the first one to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    first, *others = widths
    return "\n".join(
        "  ".join([row[0].ljust(first)] + [cell.rjust(width) for cell, width in zip(row[1:], others)]) for row in rows
    )


def table(reports, number):
    """What each attention took, a line each."""
    rows = [("attention", "number", "reading", "a token", "looked at", "keys and values")]
    for attention, report in reports.items():
        memory = report["memory"]
        share = report.get("keysReadWithStatic")
        rows.append(
            (
                ATTENTIONS[attention],
                "found" if contains(report["text"], number) else "not found",
                f"{report['prefillSeconds']:.1f} s",
                f"{1000 / report['decodeTokensPerSecond']:.1f} ms" if report["decodeTokensPerSecond"] else "-",
                f"{100 * share:.1f} %" if share is not None else "all",
                f"{(memory.get('store', 0) + memory.get('index', 0)) / 1e6:.0f} MB" if memory.get("store") else "-",
            )
        )
    return aligned(rows)


def contains(answer, number):
    return number in re.sub(r"(?<=\d)[ ,.'\u202f](?=\d)", "", answer)  # 1,234,567 counts as well


def build(swift):
    """Builds the tool; one line tells how far it is, and what the build said comes out only if it fails."""
    command = [swift, "build", "-c", "release", "--product", "ra", "--pkg-config-path", ".deps/lib/pkgconfig"]
    paths = [str(ROOT / ".deps" / "lib" / "pkgconfig"), os.environ.get("PKG_CONFIG_PATH", "")]
    environment = dict(os.environ, PKG_CONFIG_PATH=os.pathsep.join(filter(None, paths)))
    progress, start, lines = console.Progress(), time.monotonic(), []
    progress.show("building ra (minutes the first time)", always=True)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        # Steps are told on a line each: [number/all].
        for line in process.stdout:
            lines.append(line)
            step = re.match(r"\[(\d+)/(\d+)\]", line)
            if step:
                progress.show(f"building ra: step {step[1]} of {step[2]}, {time.monotonic() - start:.0f} s")
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status != 0:
        progress.close()
        sys.stderr.writelines(lines)
        raise Failure(f"'{shlex.join(command)}' failed; its messages are above.")
    progress.show(f"built ra in {time.monotonic() - start:.0f} s", always=True)
    progress.close()


def prepare(name):
    """Builds what is needed; returns the tool and the path of the model."""
    scripts = ROOT / "scripts"
    tool = os.environ.get("RA_TOOL")
    if not tool:
        swift = os.environ.get("SWIFT") or "swift"
        if not shutil.which(swift):
            raise Failure(
                f"Swift 6.2 or newer is needed and '{swift}' was not found: https://www.swift.org/install has it for"
                " Linux, on macOS Xcode or 'xcode-select --install'."
            )
        # Standard output is for the demo's own; the bootstrap talks on standard error.
        if subprocess.run([str(scripts / "bootstrap")], cwd=ROOT, stdout=sys.stderr.fileno()).returncode != 0:
            raise Failure("'scripts/bootstrap' failed; its messages are above.")
        build(swift)
        tool = ROOT / ".build" / "release" / "ra"
    if os.sep in name or name.endswith(".gguf"):
        return tool, name
    fetched = subprocess.run([str(scripts / "fetch-model"), name], stdout=subprocess.PIPE)
    if fetched.returncode != 0:
        raise Failure(f"the model {name} can't be had; the reason is above.")
    return tool, fetched.stdout.decode().strip()


def _share(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


_share.__name__ = "share between 0 and 1"


def _environment(parse, variable):
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        return parse(text)
    except ValueError:
        raise Failure(f"{variable} is '{text}', which is no {getattr(parse, '__name__', 'number')}.")


def main():
    parser = argparse.ArgumentParser(
        prog="demo",
        description="Hides a fact in a novel and asks a small model for it, with retrieval, exact and llama.cpp's"
        " attention."
        " Ends with status 1 if exact attention finds it and retrieval does not.",
        epilog="The environment variables RA_DEMO_DEPTH and RA_DEMO_SEED stand for the options; RA_TOOL names a built"
        " tool to use instead of building it.",
    )
    parser.add_argument("--depth", type=_share, help="where to hide it, 0 (start) to 1 (end); default: anywhere")
    parser.add_argument("--seed", type=int, help="chooses fact and depth; default: new ones every time")
    parser.add_argument("--model", default=MODEL, help=f"a name scripts/fetch-model knows, or a file; default: {MODEL}")
    parser.add_argument(
        "--no-long", dest="long", action="store_false",
        help=f"leave out what a token takes behind {LONG_DEPTH:,} tokens (a minute, 2 GB of memory)")
    arguments = parser.parse_args()
    depth = arguments.depth if arguments.depth is not None else _environment(_share, "RA_DEMO_DEPTH")
    seed = arguments.seed if arguments.seed is not None else _environment(int, "RA_DEMO_SEED")
    if seed is None:
        seed = random.SystemRandom().randrange(10_000)
    generator = random.Random(seed)
    wanted = generator.uniform(0.05, 0.95)  # drawn even if not used, so that a seed means the same fact at any depth
    city, number = generator.choice(CITIES), str(generator.randrange(1_000_000, 10_000_000))

    tool, model = prepare(arguments.model)
    document, actual = make_document(city, number, wanted if depth is None else depth)
    question = f"What is the special magic number for {city} mentioned in the text?"
    with tempfile.TemporaryDirectory(prefix="ra-demo-") as folder:
        file = pathlib.Path(folder) / "document.txt"
        file.write_text(document, encoding="utf-8")
        print(f"document: the beginning of Alice's Adventures in Wonderland, {len(document.encode())} bytes")
        print(f"hidden:   \"The special magic number for {city} is: {number}.\" at {actual:.0%} depth (seed {seed})")
        print(f"question: {question}", flush=True)
        reports = {attention: ask(tool, model, file, question, attention) for attention in ATTENTIONS}
    found = {attention: contains(report["text"], number) for attention, report in reports.items()}
    print(f"\n{reports['exact']['promptTokens']} tokens of prompt\n\n{table(reports, number)}\n", flush=True)
    if arguments.long:
        print(f"Behind {LONG_DEPTH:,} tokens, copies of {LONG_PERIOD:,}: beyond what the model was made for, so a speed only")
        try:
            print(f"\n{long_table(time_long_context(tool, model))}\n", flush=True)
        except Failure as failure:
            # The demo has shown what it is for; this takes more memory than the rest.
            say(f"demo: left out: {failure}")
    if not any(found.values()):
        print("The model misses it even with exact attention: try another seed or a larger model.")
    return 1 if found["exact"] and not found["retrieval"] else 0


console.run("demo", main)
