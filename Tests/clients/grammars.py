"""Grammars and schemas by the thousand, many of them made to cost more than they look. A seed makes a run repeatable.

    Tests/clients/grammars.py [COUNT] [SEED]       RA: the program; RA_TEST_MODEL: the model; THREADS: of the server

Each request must be answered, or refused with 400 and a sentence, within 5 seconds; the server must not take more than
1 GB beyond what it has at its start; a well-behaved client must be served all the while.
"""

import json
import os
import random
import sys
import tempfile
import threading
import time

import serving

count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
longest_seconds, most_bytes = 5.0, 1 << 30


class Grammars:
    """Random GBNF: mostly valid, often expensive."""

    def __init__(self, random_):
        self.random = random_

    def text(self):
        makers = [self.ordinary] * 5 + [
            self.chain, self.nested, self.counted, self.words, self.rules, self.deep, self.distance, self.left, self.broken,
            self.tokens, self.ambiguous, self.classes]
        text = self.random.choice(makers)()
        if self.random.random() < 0.05:
            text = "\ufeff" + text
        if self.random.random() < 0.08:
            cut = self.random.randrange(len(text) + 1)
            text = text[:cut] + self.random.choice(["", "(", "{", "\"", "[", "\\", "|", "\u0000", "{9999999999999999999}"]) + text[cut + 1:]
        return text

    def literal(self):
        letters = "ab ,:{}é日👋\n"
        word = "".join(self.random.choice(letters) for _ in range(self.random.choice([0, 1, 1, 2, 3, 8])))
        escaped = word.replace("\n", "\\n")
        return "\"" + escaped + self.random.choice(["", "", "\\x41", "\\u00e9", "\\U0001F44B", "\\\"", "\\\\"]) + "\""

    def range(self):
        return self.random.choice([
            "[a-z]", "[^\"\\\\]", "[^a]", ".", "[0-9a-fA-F]", "[あ-ん]", "[^\\x00-\\x1F]", "[\\U00010000-\\U0010FFFF]", "[z-a]", "[]",
            "[a-]", "[^é-ü]", "[\\uD800-\\uDFFF]"] if self.random.random() < 0.3 else ["[a-z]", "[a-c ]", ".", "[^ab]"])

    def times(self):
        many = self.random.choice([2, 3, 10, 100, 1000, 5000, 100_000, 10**9, 2**63, 2**64])
        least = self.random.choice([0, 1, 2, 3, many])
        return self.random.choice(["?", "*", "+", "", "", "", f"{{{least}}}", f"{{{least},}}", f"{{{least},{many}}}", f"{{{many},{least}}}"])

    def body(self, names, depth):
        parts = []
        for _ in range(self.random.randint(1, 4)):
            kind = self.random.random()
            if kind < 0.4:
                part = self.literal()
            elif kind < 0.6:
                part = self.range()
            elif kind < 0.8 and depth < 4:
                part = f"( {self.body(names, depth + 1)} )"
            else:
                part = self.random.choice(names)
            parts.append(part + (self.times() if self.random.random() < 0.4 else ""))
        text = " ".join(parts)
        return text + (" | " + self.body(names, depth + 1) if self.random.random() < 0.3 and depth < 4 else "")

    def ordinary(self):
        names = [f"r{n}" for n in range(self.random.randint(1, 5))]
        lines = []
        for number, name in enumerate(names):
            # Rules further down, and any after a character.
            inner = names[number + 1:] or ["\"x\""]
            lines.append(f"{name} ::= {self.body(inner, 0)} | \"<\" {self.random.choice(names)} \">\" | [a-z]")
        return "root ::= r0\n" + "\n".join(lines)

    def chain(self):
        part = self.random.choice(["\"a\"?", "[a-z]*", "[a-m]* [g-z]*", "(\"a\" | \"ab\" | \"b\")?", "(\"a\"? \"b\"?)*", "x?"])
        return "root ::= " + " ".join([part] * self.random.choice([10, 200, 400, 3000])) + "\nx ::= \"a\" | \"a\" \"b\"? x"

    def nested(self):
        text = self.random.choice(["\"a\"", "[a-z]", "(\"a\" | [b-d])", "\"\""])
        for _ in range(self.random.choice([3, 10, 60, 150, 300])):
            text = f"({text}{self.random.choice(['?', '*', '+', '{2}', '{0,3}', '{1,}', '{9}', '{0,1000}'])})"
        return "root ::= " + text

    def counted(self):
        return f"root ::= {self.random.choice(['a', '[a-z]', '(a | b)', '(a b? ){3}'])}{self.times()} {self.range()}{self.times()}\n" \
            f"a ::= b{self.times()} | \"c\"\nb ::= [a-z]{self.times()} \".\""

    def words(self):
        letters = self.random.choice(["ab", "abcdefghijklmnopqrstuvwxyz", "あいうえおかきくけこ日本"])
        length = self.random.choice([1, 3, 8, 40])
        many = self.random.choice([2, 100, 5000, 20_000])
        return "root ::= " + " | ".join(
            "\"" + "".join(self.random.choice(letters) for _ in range(self.random.randint(1, length))) + "\"" for _ in range(many))

    def rules(self):
        many = self.random.choice([100, 5000, 20_000, 60_000])
        kind = self.random.choice(["{} ::= {} \"b\"", "{} ::= \"b\" {}", "{} ::= {} | \"b\"", "{} ::= {}? \"c\"?", "{} ::= {} {}"])
        lines = [kind.replace("{}", f"r{n}", 1).replace("{}", f"r{n + 1}") for n in range(many)]
        return "root ::= r0\n" + "\n".join(lines) + f"\nr{many} ::= \"a\" | [x-z]"

    def deep(self):
        many = self.random.choice([10, 150, 250, 5000, 200_000])
        return "root ::= " + "(" * many + "\"a\"" + ")" * self.random.choice([many, many - 1])

    def distance(self):
        # What was so and so many characters ago: nearly every text is in a state of its own.
        many = self.random.choice([5, 50, 1000, 100_000])
        return f"root ::= ([a-z]* [a-m] [a-z]{{{many}}} [a-z]*){{{self.random.choice([1, 3, 50])}}}"

    def left(self):
        return self.random.choice([
            "root ::= root \"a\" | \"b\"", "root ::= x root\nx ::= y\ny ::= \"\"", "root ::= root", "root ::= \"a\" root",
            "root ::= x\nx ::= y\ny ::= x", "root ::= (root?)*", "root ::= missing", "x ::= \"a\""])

    def broken(self):
        return self.random.choice([
            "", "root", "root ::=", "root ::= (", "root ::= \"", "root ::= [", "root ::= [a", "root ::= *", "root ::= \"a\"{", "root ::= <",
            "root ::= \"\\q\"", "root ::= \"\\u12\"", "root ::= \"\\uD83D\\uDE00\"", "root ::= \"a\"{3,1}", "root ::= [z-a]", "::=", "#", "\n" * 1000,
            "root ::= \"\\U00110000\"", "root ::= \"a\"" + "*" * 100_000, "root ::= " + "\"a\" | " * 100_000 + "\"b\""])

    def tokens(self):
        return "root ::= " + " ".join(
            self.random.choice(["<[1]>", "!<[5]>", "<|im_start|>", "<|im_end|>", "<[99999999]>", "<nothing>", "\"a\"", "!<|im_end|>*"])
            for _ in range(self.random.choice([1, 2, 5, 3000])))

    def ambiguous(self):
        return self.random.choice([
            "root ::= \"a\" root root | [a-z] root | \"\"", "root ::= [a-z] root [a-z] | [a-z] root \"b\" | \"c\"",
            "root ::= x x x x x x\nx ::= [a-z]* y\ny ::= [a-z]? x | \"b\"", "root ::= (x | y | z)*\nx ::= [a-z] x?\ny ::= [a-z] y? [a-z]?\nz ::= [a-z]+ (x | y)"])

    def classes(self):
        many = self.random.choice([10, 1000, 30_000])
        return "root ::= [" + "".join(chr(self.random.choice([0x3000, 0x4E00, 0xAC00, 0x61]) + n % 0x2000) for n in range(many)) + "]+ " \
            + self.range() + self.times()


class Schemas:
    """Random JSON schemas: mostly valid, often large."""

    def __init__(self, random_):
        self.random = random_

    def make(self):
        kind = self.random.random()
        if kind < 0.1:
            many = self.random.choice([10, 1000, 5000, 20_000])
            return {"enum": [f"{self.random.randrange(10**9)} {'é' * self.random.randint(0, 3)}" for _ in range(many)]}
        if kind < 0.2:
            many = self.random.choice([60, 1000, 4000])
            names = [f"name{n}" for n in range(many)]
            return {
                "type": "object", "properties": {name: self.random.choice([{"type": "null"}, {"type": "string"}]) for name in names},
                "required": [name for name in names if self.random.random() < 0.1]}
        if kind < 0.3:
            schema = {"type": "null"}
            for _ in range(self.random.choice([5, 60, 100, 400])):
                schema = {"type": "array", "items": schema, "minItems": self.random.choice([0, 1, 3, 900]), "maxItems": self.random.choice([3, 1000])}
            return schema
        if kind < 0.4:
            return {"$ref": "#/$defs/a", "$defs": {"a": self.part(3), "b": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, {"type": "null"}]}}}
        if kind < 0.5:
            return {"anyOf": [self.part(2) for _ in range(self.random.choice([2, 50, 1000]))]}
        return self.part(0)

    def part(self, depth):
        kinds = ["string", "integer", "number", "boolean", "null", "enum", "const"] + ["object", "array", "anyOf", "list"] * (2 if depth < 4 else 0)
        kind = self.random.choice(kinds)
        if kind == "enum":
            return {"enum": [self.random.choice(["a", 1, None, True, "\u0000", "\n\"\\", 1.5, [1], {"x": []}]) for _ in range(self.random.randint(0, 5))]}
        if kind == "const":
            return {"const": self.random.choice(["x" * 3000, -5, {"a": "b"}, "\ud83d\ude00"])}
        if kind == "anyOf":
            return {self.random.choice(["anyOf", "oneOf", "allOf", "not"]): [self.part(depth + 1) for _ in range(self.random.randint(0, 4))]}
        if kind == "list":
            return {"type": self.random.choice([["string", "null"], ["integer"], [], ["thing"], ["object", "array"]])}
        schema = {"type": kind}
        if kind == "string" and self.random.random() < 0.6:
            schema |= self.random.choice([
                {"minLength": 5}, {"maxLength": 1000}, {"minLength": 1000, "maxLength": 1000}, {"maxLength": 10**9}, {"minLength": 3, "maxLength": 1},
                {"format": self.random.choice(["date-time", "uuid", "email", "uri", "duration", "ipv6", "base64", "none"])},
                {"pattern": self.pattern(0)}, {"pattern": "^[a-z]{3}$", "minLength": 2}, {"pattern": "^\\w+$", "maxLength": 900}])
        if kind in ("integer", "number") and self.random.random() < 0.6:
            schema |= {"minimum": self.random.choice([0, -5, 10**14, 1e300, 0.125]), "maximum": self.random.choice([7, 10**14, -10**15, 1e-9])}
        if kind in ("integer", "number") and self.random.random() < 0.3:
            schema |= {"multipleOf": self.random.choice([1, 2, 7, 127, 128, 997, 0.01, 1e-7, 10**12, 12800, 0, -1])}
        if kind == "array":
            schema |= {"items": self.part(depth + 1)}
            if self.random.random() < 0.2:
                schema |= {"uniqueItems": True, "items": {"enum": list(range(self.random.choice([1, 5, 8, 9])))}}
            if self.random.random() < 0.5:
                schema |= {"minItems": self.random.choice([0, 3, 1000]), "maxItems": self.random.choice([2, 1000, 10**7])}
        if kind == "object":
            schema |= {"properties": {f"p{n}": self.part(depth + 1) for n in range(self.random.randint(0, 6))}}
            if self.random.random() < 0.3:
                schema = {"type": "object", "additionalProperties": self.part(depth + 1)}
                schema |= self.random.choice([{}, {"propertyNames": {"pattern": self.pattern(0)}}])
        return schema

    def pattern(self, depth):
        """A regular expression: mostly valid, often expensive."""
        parts = []
        for _ in range(self.random.randint(1, 4)):
            part = self.random.choice(["a", ".", "[a-z]", "[^\\s\"]", "\\d", "\\W", "(?:ab|a|b)", "(a*)*", "(x+x+)+y", "\\.", "[à-ÿ日]", "^", "$"])
            if depth < 3 and self.random.random() < 0.3:
                part = f"({self.pattern(depth + 1)})"
            parts.append(part + self.random.choice(["", "", "", "*", "+?", "?", "{3}", "{2,900}", "{1000,}", "{5,2}"]))
        return self.random.choice(["^", "", ""]) + self.random.choice(["", "", "|"]).join(parts) + self.random.choice(["$", "", "", "(?=x)", "\\1", "("])


def bodies():
    """Requests, with whether the answer is to be JSON."""
    random_ = random.Random(seed)
    grammars, schemas = Grammars(random_), Schemas(random_)
    for _ in range(count):
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": random_.choice([2, 8]), "temperature": random_.choice([0, 1]), "seed": 1}
        is_schema = random_.random() < 0.4
        if is_schema:
            schema = schemas.make()
            body |= random_.choice([
                {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}},
                {"response_format": {"type": "json_object", "schema": schema}}, {"json_schema": schema}, {"guided_json": schema},
                {"structured_outputs": {"json": schema}}])
        else:
            text = grammars.text()
            body |= random_.choice([{"grammar": text}] * 3 + [{"guided_grammar": text}, {"structured_outputs": {"grammar": text}}])
        yield body, is_schema


def memory(pid, name):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name + ":"))


class Run:
    def __init__(self, server):
        self.server, self.lock, self.queue = server, threading.Lock(), bodies()
        self.statuses, self.wrong, self.times, self.reasons = {}, [], [], {}
        self.ended = threading.Event()
        self.good, self.gaps = 0, []

    def work(self):
        while True:
            with self.lock:
                pair = next(self.queue, None)
            if pair is None:
                return
            body, is_schema = pair
            began = time.monotonic()
            try:
                status, reason = 200, None
                answer = self.server.request("POST", "/v1/chat/completions", body)["choices"][0]
                if is_schema and answer["finish_reason"] == "stop":
                    json.loads(answer["message"]["content"])
            except serving.Broken as error:
                status, _, reason = str(error).partition(": ")
                status = int(status)
            except Exception as error:
                status, reason = 0, repr(error)
            seconds = time.monotonic() - began
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
                self.times.append(seconds)
                if status not in (200, 400) or not (status == 200 or reason) or seconds > longest_seconds:
                    self.wrong.append(f"{status} after {seconds:.2f} s, {reason}: {json.dumps(body)[:600]}")
                if reason and status == 400:
                    kind = "too ambiguous" if "too ambiguous" in reason else "other"
                    self.reasons[kind] = self.reasons.get(kind, 0) + 1

    def neighbor(self):
        while not self.ended.is_set():
            try:
                _, _, first, gaps = self.server.stream([{"role": "user", "content": "Tell me about the sea."}], tokens=32)
                self.good += 1
                self.gaps += gaps + [first or 0]
            except Exception as error:
                self.wrong.append(f"the other client: {error!r}")
                time.sleep(0.2)

    def watch(self, limit):
        """Ends the server before it takes the machine's memory."""
        while not self.ended.is_set():
            try:
                if memory(self.server.pid, "VmRSS") > limit:
                    self.wrong.append(f"more than {limit >> 20} MiB")
                    self.server.process.kill()
                    return
            except (OSError, StopIteration):
                return
            time.sleep(0.02)


def main():
    with tempfile.TemporaryDirectory() as folder:
        server = serving.Server(
            ["--model", serving.find_model(), "--context", "4096", "--threads", os.environ.get("THREADS", "1")], os.path.join(folder, "log"))
        # What a first answer makes stays.
        server.request("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4})
        start = memory(server.pid, "VmRSS")
        run = Run(server)
        others = [threading.Thread(target=run.neighbor), threading.Thread(target=run.watch, args=(start + most_bytes,))]
        workers = [threading.Thread(target=run.work) for _ in range(2)]
        began = time.monotonic()
        for thread in others + workers:
            thread.start()
        for thread in workers:
            thread.join()
        run.ended.set()
        for thread in others:
            thread.join()
        alive = server.process.poll() is None
        peak = memory(server.pid, "VmHWM") if alive else 0
        code = server.end() if alive else server.process.returncode
        print(f"{count} grammars and schemas in {time.monotonic() - began:.0f} s (seed {seed}), by status: {dict(sorted(run.statuses.items()))}")
        print(f"refused while or before writing: {run.reasons}")
        print(f"an answer took {serving.percentile(run.times, .5):.2f} s (p50), {serving.percentile(run.times, .99):.2f} s (p99), {max(run.times, default=0):.2f} s at most")
        print(f"memory: {start >> 20} MiB at the start, {peak >> 20} MiB at most")
        print(f"meanwhile {run.good} answers to another client, whose tokens came after {serving.percentile(run.gaps, .5):.2f} s (p50), "
              f"{serving.percentile(run.gaps, .99):.2f} s (p99), {max(run.gaps, default=0):.2f} s at most")
        if not alive or code != 0:
            run.wrong.append(f"the server ended with {code}: {open(server.log).read()[-2000:]}")
        if not run.good or max(run.gaps, default=0) > longest_seconds:
            run.wrong.append("the other client was not served in time")
        # A generator of nothing but refusals, or of none, would show nothing.
        for status in (200, 400):
            if run.statuses.get(status, 0) < count / 10:
                run.wrong.append(f"only {run.statuses.get(status, 0)} answers with {status}")
        for line in run.wrong[:20]:
            print("WRONG", line)
        sys.exit(1 if run.wrong else 0)


main()
