"""Checks every architecture of llama.cpp on a tiny model with random weights, and writes docs/models.md.

llama.cpp's own generator of such models is built from the pinned source. Of each model `ra doctor --thorough` tells
whether attention can be taken over, and how far exact attention, retrieval, sessions, forks and batches are from the
host's own attention. Weights are random, so that a table of quality is not to be had from this: it is the machinery
that is compared.
"""

import argparse
import datetime
import json
import pathlib
import re
import subprocess

import console
from console import Failure, say
from downloads import Downloader
from llama_source import FOLDER, LLAMA_COMMIT, unpack_folders, unpack_source
from toolchain import DEPS, ROOT, Compiler

GENERATOR = DEPS / "model-generator"
MODELS = DEPS / "tiny-models"
SOURCE = pathlib.Path("tests/test-llama-archs.cpp")
# The generator's usual deviation of weights is so small that logits hardly react to attention.
DEVIATION = "0.4"
SEED = "1"
TABLE = ROOT / "docs" / "models.md"
START, END = "<!-- architectures -->", "<!-- /architectures -->"

# Models that people run, by architecture.
NAMES = {
    "bailingmoe3": "Ling 3",
    "deepseek2": "DeepSeek V3, R1; Kimi K2; GLM-4.7-Flash",
    "deepseek32": "DeepSeek V3.2",
    "falcon-h1": "Falcon H1",
    "gemma2": "Gemma 2",
    "gemma3": "Gemma 3",
    "glm-dsa": "GLM-5",
    "glm4": "GLM-4",
    "glm4moe": "GLM-4.5, 4.6, 4.7",
    "gpt-oss": "gpt-oss 20B, 120B",
    "granitehybrid": "Granite 4 H",
    "jamba": "Jamba",
    "kimi-linear": "Kimi Linear",
    "lfm2": "LFM2",
    "lfm2moe": "LFM2 8B-A1B",
    "llama": "Llama 3, Mistral, SmolLM2",
    "llama4": "Llama 4",
    "minimax-m2": "MiniMax M2",
    "mistral3": "Ministral 3",
    "nemotron_h": "Nemotron Nano v2",
    "nemotron_h_moe": "Nemotron 3",
    "phi3": "Phi-3, 3.5, 4-mini",
    "qwen2": "Qwen2.5",
    "qwen3": "Qwen3",
    "qwen35": "Qwen3.5, 3.6",
    "qwen35moe": "Qwen3.6-35B-A3B",
    "qwen3moe": "Qwen3-30B-A3B",
    "qwen3next": "Qwen3-Next",
}


def build_generator():
    """Builds llama.cpp's generator, unless it is there."""
    compiler = Compiler()
    downloader = Downloader()
    unpack_source(downloader)
    unpack_folders(downloader, ["tests"])
    stamp = GENERATOR.with_suffix(".stamp")
    key = "\n".join([LLAMA_COMMIT, *compiler.identity()])
    if GENERATOR.exists() and stamp.exists() and stamp.read_text() == key:
        return
    say("building the generator of tiny models")
    libraries = [DEPS / "llama" / "lib" / f"lib{name}.a" for name in ("llama", "ggml", "ggml-cpu", "ggml-base")]
    include = [pathlib.Path(__file__).parent / "stand_ins"]
    include += [FOLDER / name for name in ("include", "ggml/include", "src")]
    command = [*compiler.cxx, "-std=c++17", "-O1"] + [f"-I{path}" for path in include]
    command += [FOLDER / SOURCE, "-o", GENERATOR] + libraries + ["-lpthread", "-ldl", "-lm"]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise Failure(f"The generator of tiny models could not be built: {result.stderr.strip()[-2000:]}")
    stamp.write_text(key)


def make_models(pattern):
    """Writes models whose architecture a regular expression matches; returns their files."""
    MODELS.mkdir(parents=True, exist_ok=True)
    console.require_space(MODELS, 1 << 30, "tiny models")
    command = [GENERATOR, "-o", MODELS, "-d", DEVIATION, "-s", SEED] + (["-a", pattern] if pattern else [])
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise Failure(f"The generator of tiny models failed: {result.stderr.strip()[-2000:]}")
    names = re.findall(r"Saving .* to (\S+\.gguf)\.\.\.", result.stdout)
    return sorted({MODELS / pathlib.Path(name).name for name in names})


def check(program, model, depth):
    """What `ra doctor` says of a model, as a dictionary with `error` where it ended otherwise."""
    command = [str(program), "doctor", str(model), "--thorough", "--json", "--depth", str(depth)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return {"error": "no answer within 10 minutes"}
    try:
        return json.loads(result.stdout)
    except ValueError:
        learned = re.search(r"has learned (\d+) positions", result.stderr)
        if learned and int(learned[1]) - 16 < depth:
            return check(program, model, int(learned[1]) - 16)
        signal = f"ended by signal {-result.returncode}: " if result.returncode < 0 else ""
        return {"error": signal + (result.stderr.strip().splitlines() or ["no output"])[-1]}


def verdict(report):
    if "error" in report:
        return "error"
    if not report["isSupported"]:
        return "host"
    return "yes" if report["passed"] else "FAILED"


def row(model, report, depth):
    name = re.sub(r"-(dense|moe)$", "", model.stem)
    cells = [f"`{name}`" + (" (MoE)" if model.stem.endswith("-moe") else ""), NAMES.get(name, "")]
    state = verdict(report)
    if state in ("error", "host"):
        reasons = report.get("reasons") or [report.get("error", "")]
        return cells + [state, "", "", "", "", "", "; ".join(reasons)]
    kind = "yes, hybrid" if report["isHybrid"] else "yes"
    test = report["check"]
    notes = report["warnings"] + ([f"{test['tokenCount']} tokens"] if test["tokenCount"] < depth - 64 else [])
    same = all(test.get(key) for key in ("isReopenedEqual", "isForkEqual"))
    return cells + [
        kind if state == "yes" else "FAILED",
        f"{test['exactDivergence']:.1e}",
        f"{test['hostDivergence']:.1e}",
        f"{test['wholeRetrievalDivergence']:.1e}",
        f"{test['retrievalDivergence']:.1e}",
        "yes" if same and test["batchDivergence"] <= max(3 * test["hostDivergence"], 0.01) else "NO",
        "; ".join(notes),
    ]


def table(rows, reports, depth):
    """The text between the marks of docs/models.md."""
    states = [verdict(report) for report in reports]
    heads = ["Architecture", "Models", "Taken over", "Exact", "Host", "All keys", "Retrieval"]
    heads += ["Session, fork, batch", "Notes"]
    lines = [
        f"{datetime.date.today()}, llama.cpp {LLAMA_COMMIT}, {depth} tokens. {len(rows)} models: "
        f"{states.count('yes')} taken over, {states.count('host')} with the host's own attention or not at all, "
        f"{len(rows) - states.count('yes') - states.count('host')} failed.",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + " --- |" * len(heads),
    ]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])


def write_table(text):
    page = TABLE.read_text()
    if START not in page or END not in page:
        raise Failure(f"{TABLE} lacks the marks {START} and {END}.")
    before, rest = page.split(START, 1)
    TABLE.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/test-models", description=__doc__)
    parser.add_argument("--architecture", metavar="REGEX", help="only architectures that match")
    parser.add_argument("--depth", type=int, default=2048, metavar="TOKENS", help="length of the texts (%(default)s)")
    parser.add_argument("--program", default=str(ROOT / ".build/release/ra"), help="the ra to run (%(default)s)")
    parser.add_argument("--table", action="store_true", help="write the table in docs/models.md")
    options = parser.parse_args()
    if options.table and options.architecture:
        raise Failure("--table is for all architectures, not for --architecture.")
    if not pathlib.Path(options.program).exists():
        raise Failure(f"{options.program} is missing; make it with 'make build'.")
    build_generator()
    models = make_models(options.architecture)
    if not models:
        raise Failure(f"No architecture matches {options.architecture}.")
    rows, reports = [], []
    for number, model in enumerate(models, start=1):
        report = check(options.program, model, options.depth)
        rows.append(row(model, report, options.depth))
        reports.append(report)
        if verdict(report) in ("yes", "host"):
            model.unlink()  # what failed stays for a closer look; all together they take a gigabyte
        say(f"{number}/{len(models)} {model.stem}: {verdict(report)}"
            + "".join(f" | {cell}" for cell in rows[-1][3:] if cell))
    text = table(rows, reports, options.depth)
    if options.table:
        write_table(text)
    else:
        print(text)
    failed = [model.stem for model, report in zip(models, reports) if verdict(report) in ("FAILED", "error")]
    if failed:
        raise Failure(f"Failed: {', '.join(failed)}.")
    return 0


console.run("test-models", main)
