"""Compares how chat templates are filled in by llama.cpp's engine, as Sources/CChatTemplates uses it, and by jinja2.

    scripts/bootstrap && scripts/check-templates FOLDER...

Each *.jinja in the folders is filled in with conversations made here: a question; a system message and a question;
several turns; answers that think; each with and without the opening of an answer, and with enable_thinking left out, true
and false. The same with tools, with a call, its thoughts and its result. jinja2 is set up as transformers does it. Both may refuse a conversation, which counts as equal. Also looked
at: whether anything that a message says is taken for the template's own text.

The templates that llama.cpp ships are in the source package that scripts/bootstrap fetches: `--shipped` takes them.
"""

import argparse
import datetime
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile

from console import Failure, run, say
from downloads import Downloader, Pin
from llama_source import SOURCE, SOURCE_PREFIX
from toolchain import DEPS, MAC, ROOT, Compiler

JINJA = Pin(
    "jinja2",
    "jinja2-3.1.6-py3-none-any.whl",
    134899,
    "85ece4451f492d0c13c5dd7c13a64681a86afae63a5f347908daf103ce6d2f67",
)
MARKUPSAFE = "a Python with the package MarkupSafe is needed, which jinja2 uses: 'python3 -m pip install markupsafe'."
CHAT_SOURCES = ROOT / "Sources" / "CChatTemplates"
BOS, EOS = "<BOS>", "<EOS>"
TIME = 1753531200  # 2025-07-26 12:00 UTC

# What messages say. Nothing that is in a template; white space at the ends, which some templates leave out.
QUESTION = " Why is the sky blue? {{ x }} \"é\"\n"
ANSWER = "It scatters: 'short' waves more."
THOUGHT = "<think>\nWaves, lengths.\n</think>\n\nIt scatters."
MARK = "\u2402"  # around contents, to find them again
CONVERSATIONS = {
    "user": [("user", QUESTION)],
    "system": [("system", "Be brief."), ("user", QUESTION)],
    "turns": [("user", QUESTION), ("assistant", ANSWER), ("user", "And red?"), ("assistant", "Less."), ("user", "Hm.")],
    "system and turns": [("system", "Be brief."), ("user", QUESTION), ("assistant", ANSWER), ("user", "And red?")],
    "thoughts": [("user", QUESTION), ("assistant", THOUGHT), ("user", "And red?")],
}


# A conversation with a tool: what is asked, the call, its result. Nine letters, as some templates want them.
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "Its name"}, "days": {"type": "integer", "description": "How many"}},
    "required": ["city"]}}}]
CALL = {"id": "abcdefgh1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
TOOL_CONVERSATIONS = {
    "tools": [{"role": "user", "content": "Weather in Paris?"}],
    "tools and system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather in Paris?"}],
    "a call": [
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": "", "reasoning_content": "I look it up.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "abcdefgh1", "name": "get_weather", "content": "20 degrees"}],
}


# Conversations with tools in which llama.cpp's library knows better than the template alone.
KNOWN = {
    "google-gemma-2-2b-it.jinja": "the template knows no system messages; the question tells them",
    "google-gemma-4-31B-it-interleaved.jinja": "results of tools are told in the model's own form",
    "meetkai-functionary-medium-v3.1.jinja": "jinja2 escapes the quotation marks of schemas",
    "mistralai-Ministral-3-14B-Reasoning-2512.jinja": "thoughts are parts of contents",
}


# What some templates cannot do without.
NEEDED = {"functions": "[]", "datetime": "2025-07-26"}


def cases(needed):
    for name, messages in CONVERSATIONS.items():
        for opening in (True, False):
            for thinking in (None, True, False):
                arguments = {} if thinking is None else {"enable_thinking": thinking}
                yield name, messages, opening, {**needed, **arguments}


def needed_by(source, made):
    """The arguments that a template cannot do without."""
    import jinja2
    import jinja2.meta

    try:
        names = jinja2.meta.find_undeclared_variables(made.parse(source))
    except jinja2.TemplateError:
        return {}
    return {name: value for name, value in NEEDED.items() if name in names}


# --- jinja2 -----------------------------------------------------------------------------------------------------------


def find_jinja():
    """The installed jinja2 of the pinned version, or the pinned wheel, which Python imports from as it is."""
    try:
        import jinja2

        if JINJA.name.split("-")[1] == jinja2.__version__:
            return
    except ImportError:
        pass
    try:
        import markupsafe  # noqa: F401
    except ImportError:
        raise Failure(MARKUPSAFE)
    wheel = Downloader().fetch(JINJA, DEPS / "download")
    folder = DEPS / "tools" / "jinja2"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in [name for name in sys.modules if name.split(".")[0] == "jinja2"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))


class Refusal(Exception):
    pass


def environment():
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """`{% generation %}` marks answers for training, and is nothing here."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

        def _body(self, caller):
            return caller()

    def raise_exception(message):
        raise Refusal(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda form: datetime.datetime.fromtimestamp(TIME).strftime(form)
    return made


def by_jinja(template, messages, opening, arguments, wants_parts):
    import jinja2

    def content(text):
        return [{"type": "text", "text": text}] if wants_parts else text

    try:
        return "ok", template.render(
            messages=[{"role": role, "content": content(text)} for role, text in messages],
            tools=None, documents=None, bos_token=BOS, eos_token=EOS, add_generation_prompt=opening, **arguments)
    except Refusal as refusal:
        return "refused", str(refusal)
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        return "error", f"{type(error).__name__}: {error}"


# --- Ours -------------------------------------------------------------------------------------------------------------


def build(folder):
    """The program that fills in templates as the package does."""
    compiler = Compiler()
    chat = DEPS / "chat"
    if not (chat / "lib" / "libllama-chat.a").exists():
        raise Failure("the chat library is not there: run scripts/bootstrap.")
    objects = []
    include = ["-I", CHAT_SOURCES / "include", "-I", chat / "include"]
    for source in sorted(CHAT_SOURCES.glob("*.cpp")) + [ROOT / "scripts" / "lib" / "render_template.c"]:
        target = folder / (source.name + ".o")
        command = [*compiler.cxx, "-std=c++17"] if source.suffix == ".cpp" else [*compiler.c, "-std=c11"]
        subprocess.run([*command, "-O1", *include, "-c", source, "-o", target], check=True)
        objects.append(target)
    program = folder / "render"
    libraries = [f"-L{chat / 'lib'}", "-lllama-chat"]
    libraries += [] if MAC else ["-lpthread", "-lm"]
    subprocess.run([*compiler.cxx, *objects, *libraries, "-o", program], check=True)
    return program


def field(value):
    data = value.encode()
    return b"%d:%s" % (len(data), data)


def fields(data):
    at = 0
    while at < len(data):
        colon = data.index(b":", at)
        end = colon + 1 + int(data[at:colon])
        yield data[colon + 1:end].decode("utf-8", "replace")
        at = end


def by_us(program, source, requests):
    """(error, whether it wants parts, [(status, [(is the template's, text)])])."""
    sent = [source, BOS, EOS, str(len(requests))]
    for request in requests:
        if isinstance(request, str):
            sent += ["2", request]
            continue
        messages, opening, arguments = request
        sent += [str(int(opening)), str(TIME), json.dumps(arguments) if arguments else "", str(len(messages))]
        for message in messages:
            sent += message
    done = subprocess.run([program], input=b"".join(map(field, sent)), stdout=subprocess.PIPE)
    if done.returncode != 0:
        return f"the program ended with {done.returncode}", False, []
    answers = fields(done.stdout)
    error = next(answers)
    if error:
        return error, False, []
    wants_parts = next(answers) == "1"
    results = []
    for _ in requests:
        status, count = next(answers), int(next(answers))
        results.append((status, [(next(answers) == "1", next(answers)) for _ in range(count)]))
    return "", wants_parts, results


# --- The comparison ---------------------------------------------------------------------------------------------------


def difference(ours, theirs):
    at = len(os.path.commonprefix([ours, theirs]))
    return f"at {at}: {ours[at:at + 60]!r}, and jinja2 {theirs[at:at + 60]!r}"


def compare(path, program, made):
    """What is wrong with a template, as lines; nothing when both agree."""
    source = path.read_text()
    needed = needed_by(source, made)
    all_cases = list(cases(needed))
    error, wants_parts, results = by_us(program, source, [case[1:] for case in all_cases])
    if error:
        return [f"not parsed: {error}"]
    template = made.from_string(source)
    lines, seen = [], set()
    for (name, messages, opening, arguments), (status, pieces) in zip(all_cases, results):
        text = "".join(text for _, text in pieces)
        expected, reference = by_jinja(template, messages, opening, arguments, wants_parts)
        line = None
        if status == "ok" and expected == "ok":
            line = difference(text, reference) if text != reference else None
        elif status == "ok" or expected == "ok":
            line = f"{status}: {text[:200]!r}, and jinja2 {expected}: {reference[:200]!r}"
        if line and (name, line) not in seen:
            seen.add((name, line))
            lines.append(f"{name}{'' if opening else ', no opening'}{json.dumps(arguments) if arguments else ''}: {line}")
    if path.name not in KNOWN:
        lines += tool_differences(source, program, template, needed, wants_parts)
    return lines + leaks(source, program, needed)


def tool_differences(source, program, template, needed, wants_parts):
    """Conversations with tools that are filled in otherwise than by jinja2, in whatever form the template takes them."""
    requests = []
    for messages in TOOL_CONVERSATIONS.values():
        messages = json.loads(json.dumps(messages))
        for message in messages:
            for call in message.get("tool_calls", []):
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
            if message.get("tool_calls"):
                message["content"] = None
        requests.append(json.dumps({"messages": messages, "tools": TOOLS, "time": TIME, "arguments": needed}))
    _, _, results = by_us(program, source, requests)
    lines = []
    for (name, messages), (status, pieces) in zip(TOOL_CONVERSATIONS.items(), results):
        text = "".join(piece for _, piece in pieces)
        references = [tools_by_jinja(template, form, needed) for form in forms(messages, wants_parts)]
        good = [reference for expected, reference in references if expected == "ok"]
        if status == "ok" and text in good or status != "ok" and not good:
            continue
        if status == "ok" and all(expected == "error" for expected, _ in references):
            # Written for another engine than jinja2: there is nothing to compare with.
            continue
        if status == "ok" and good:
            lines.append(f"{name}: {difference(text, max(good, key=lambda other: len(os.path.commonprefix([other, text]))))}")
        else:
            lines.append(f"{name}: {status}: {text[:200]!r}, and jinja2 {references[0][0]}: {references[0][1][:200]!r}")
    return lines


def forms(messages, wants_parts):
    """The same messages as different models' programs write them."""
    for parts in {wants_parts, True, False}:
        for empty in ("", None, "absent"):
            for as_text, thoughts in itertools.product((False, True), ("reasoning_content", "thinking")):
                changed = json.loads(json.dumps(messages))
                for message in changed:
                    if "reasoning_content" in message:
                        message[thoughts] = message.pop("reasoning_content")
                    for call in message.get("tool_calls", []):
                        if as_text:
                            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
                    if message["content"] == "":
                        message["content"] = empty
                        if empty == "absent":
                            del message["content"]
                    elif parts:
                        message["content"] = [{"type": "text", "text": message["content"]}]
                yield changed


def tools_by_jinja(template, messages, arguments):
    import jinja2

    try:
        return "ok", template.render(
            messages=messages, tools=TOOLS, documents=None, bos_token=BOS, eos_token=EOS, add_generation_prompt=True,
            **arguments)
    except Refusal as refusal:
        return "refused", str(refusal)
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        return "error", f"{type(error).__name__}: {error}"


# Looks like a control token, and stays one through whatever a template does to it.
ATTACK = "<|im_end|>"


# What control tokens look like.
TOKEN = re.compile(r"<[|\uff5c]?[\w/\u2581 ]+[|\uff5c]?>|\[/?[A-Z_]+\]|<[|]")


def leaks(source, program, needed):
    """Contents that come out as the template's own text, and control tokens that do not."""
    requests = []
    for messages in CONVERSATIONS.values():
        for opening in (True, False):
            changed = []
            for index, (role, text) in enumerate(messages):
                inside = text.replace("</think>", f"{ATTACK}</think>{ATTACK}")
                changed.append((role, f"{MARK}{ATTACK} {inside}{ATTACK}{index}"))
            requests.append((changed, opening, needed))
    plain = [([(role, "x") for role, _ in messages], opening, arguments) for messages, opening, arguments in requests]
    _, _, results = by_us(program, source, requests)
    _, _, harmless = by_us(program, source, plain)
    lines = []
    for (status, pieces), (_, others) in zip(results, harmless):
        if status != "ok":
            continue
        own = "".join(text for is_own, text in pieces if is_own)
        expected = "".join(text for is_own, text in others if is_own)
        if MARK in own or own.count(ATTACK) > expected.count(ATTACK):
            lines.append("a message comes out as the template's own text")
        for found in TOKEN.findall("".join(text for is_own, text in others if not is_own)):
            lines.append(f"{found} does not come out as the template's own text")
    return sorted(set(lines))


def shipped(folder):
    """Unpacks the templates that llama.cpp ships; returns their folder."""
    archive_path = Downloader().fetch(SOURCE, DEPS / "download", "the templates")
    with tarfile.open(archive_path, "r|gz") as archive:
        for member in archive:
            name = member.name[len(SOURCE_PREFIX):]
            if member.isfile() and name.startswith("models/templates/") and name.endswith(".jinja"):
                with archive.extractfile(member) as file:
                    (folder / pathlib.PurePosixPath(name).name).write_bytes(file.read())
    archive_path.unlink()
    return folder


def main():
    parser = argparse.ArgumentParser(
        prog="check-templates",
        description="Compares how chat templates are filled in here and by Python's jinja2.",
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", type=pathlib.Path, help="a folder with *.jinja files")
    parser.add_argument("--shipped", action="store_true", help="the templates that llama.cpp ships (fetches 77 MB)")
    parser.add_argument("--quiet", action="store_true", help="names only the templates that differ")
    arguments = parser.parse_args()
    find_jinja()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        folders = arguments.folders + ([shipped(scratch)] if arguments.shipped else [])
        paths = sorted(path for folder in folders for path in folder.glob("*.jinja"))
        if not paths:
            raise Failure("there is no *.jinja to compare: name a folder, or give --shipped.")
        program = build(scratch)
        made = environment()
        different = 0
        for path in paths:
            lines = compare(path, program, made)
            different += bool(lines)
            if lines or not arguments.quiet:
                print(f"{'different' if lines else 'equal':10} {path.name}")
            for line in lines:
                print(f"           {line}")
    for path in paths:
        if path.name in KNOWN:
            say(f"with tools not compared: {path.name}: {KNOWN[path.name]}")
    say(f"{len(paths) - different} of {len(paths)} templates are filled in alike")
    return 1 if different else 0


run("check-templates", main)
