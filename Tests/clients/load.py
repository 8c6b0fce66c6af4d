#!/usr/bin/env python3
"""Many streaming clients with questions of their own about one stored document.

usage: Tests/clients/load.py [--clients 16] [--seconds 300] [--alone 60] [--tokens 7500] [--answer 64] [--json FILE]
                             [--text FILE] [--threads N] [--parallel N]

Starts a server with a session store, uploads a document of about that many tokens, then measures one client, the time to
the first token, one client while another document of that length is read and indexed, and all clients together; memory is
sampled meanwhile. Ends with 1 when anything went wrong. RA names the
program, RA_TEST_MODEL the model.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time

from serving import Broken, Server, find_model, percentile, root

parser = argparse.ArgumentParser()
parser.add_argument("--clients", type=int, default=16)
parser.add_argument("--seconds", type=float, default=300)
parser.add_argument("--alone", type=float, default=60)
parser.add_argument("--tokens", type=int, default=7500)
parser.add_argument("--answer", type=int, default=64)
parser.add_argument("--text", default=os.path.join(root, "Texts/persuasion.txt"))
parser.add_argument("--threads")
parser.add_argument("--parallel", type=int)
parser.add_argument("--json")
options = parser.parse_args()

subjects = ["Sir Walter", "Anne", "Elizabeth", "Lady Russell", "Mr. Shepherd", "Kellynch Hall", "the Baronetage", "Mary"]
verbs = ["What is said about", "Describe", "Who knows", "Why does the text mention", "Tell a short story of"]


def question(generator):
    return f"{generator.choice(verbs)} {generator.choice(subjects)}? ({generator.randrange(1000)})"


def memory(pid):
    """Resident, proportional and anonymous MiB. Forks share pages, which the resident size counts for each of them."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            parts = line.split()
            if parts[0] in ("Rss:", "Pss:", "Pss_Anon:"):
                found[parts[0][:-1]] = int(parts[1]) / 1024
    return found


class Run:
    """What some clients see in some seconds."""

    def __init__(self, server, session, clients, seconds, reading=None):
        """`reading`: a text to upload; the clients go on until it is read."""
        self.first, self.gaps, self.tokens, self.answers, self.errors, self.samples = [], [], 0, 0, [], []
        self.lock = threading.Lock()
        self.end = time.monotonic() + seconds
        start = time.monotonic()
        if reading:
            self.end = float("inf")
            threading.Thread(target=self.upload, args=(server, reading)).start()
        threads = [
            threading.Thread(target=self.client, args=(server, session, random.Random(number)))
            for number in range(clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.samples.append({"seconds": time.monotonic() - start, **memory(server.pid)})
            for _ in range(int(max(1, min(10, seconds / 10)) * 10)):
                if any(thread.is_alive() for thread in threads):
                    time.sleep(0.1)
        for thread in threads:
            thread.join()
        self.seconds = time.monotonic() - start

    def upload(self, server, text):
        try:
            server.upload(text, "another document")
        except (Broken, OSError) as error:
            with self.lock:
                self.errors.append(str(error))
        self.end = 0

    def client(self, server, session, generator):
        while time.monotonic() < self.end:
            try:
                _, last, first, gaps = server.stream(
                    [{"role": "user", "content": question(generator)}], session["id"], options.answer)
                cached = last["usage"]["prompt_tokens_details"]["cached_tokens"]
                with self.lock:
                    self.tokens += last["usage"]["completion_tokens"]
                    self.answers += 1
                    self.gaps += gaps
                    if first is not None:
                        self.first.append(first)
                    if cached < session["tokens"]:
                        self.errors.append(f"only {cached} of {session['tokens']} tokens were reused")
            except Broken as error:
                with self.lock:
                    self.errors.append(str(error))
                return

    def report(self):
        return {
            "seconds": self.seconds, "answers": self.answers, "tokens": self.tokens,
            "tokens_per_second": self.tokens / self.seconds, "errors": self.errors,
            "first_p50": percentile(self.first, 0.5), "first_p99": percentile(self.first, 0.99),
            "gap_p50": percentile(self.gaps, 0.5), "gap_p99": percentile(self.gaps, 0.99),
            "gap_max": max(self.gaps, default=float("nan")), "memory": self.samples}


def line(name, run):
    return (
        f"{name:12} {run['tokens_per_second']:8.1f} tokens/s  {run['answers']:5d} answers  "
        f"first token p50 {run['first_p50'] * 1000:6.0f} p99 {run['first_p99'] * 1000:6.0f} ms  "
        f"between tokens p50 {run['gap_p50'] * 1000:5.1f} p99 {run['gap_p99'] * 1000:6.1f} max {run['gap_max'] * 1000:6.1f} ms  "
        f"errors {len(run['errors'])}")


def main():
    text = open(options.text, encoding="utf-8").read()
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "--model", find_model(), "--session-store", os.path.join(folder, "store"),
            "--parallel", str(options.parallel or options.clients), "--queue", str(4 * options.clients)]
        if options.threads:
            arguments += ["--threads", options.threads]
        server = Server(arguments, os.path.join(folder, "log"))
        try:
            start = time.monotonic()
            session = server.upload(text[:int(options.tokens * 4.1)], "the document")
            reading = time.monotonic() - start
            print(f"read {session['tokens']} tokens in {reading:.1f} s", flush=True)
            ask = [{"role": "user", "content": "What is said about Anne?"}]
            server.stream(ask, session["id"], 8)
            firsts = []
            for number in range(8):
                other = [{"role": "user", "content": f"{number}: What is said about Anne?"}]
                firsts.append(server.stream(other, session["id"], 8)[2])
            # The next turn of a conversation reads as much, and goes on with its context instead of a fork.
            nexts = []
            for number in range(8):
                talk = [{"role": "user", "content": f"{number} Tell a long story about Anne."}]
                told = server.stream(talk, session["id"], 40)[0]
                talk += [{"role": "assistant", "content": told}, {"role": "user", "content": "What is said about Anne?"}]
                nexts.append(server.stream(talk, session["id"], 8)[2])
            alone = Run(server, session, 1, options.alone).report()
            print(line("1 client", alone), flush=True)
            first, step, turn = percentile(firsts, 0.5), alone["gap_p50"], percentile(nexts, 0.5)
            print(
                f"first token of a question about the document: {first * 1000:.1f} ms; of a next turn, without a fork, "
                f"{turn * 1000:.1f} ms; a step {step * 1000:.1f} ms: {(first - turn) / step:.1f} steps more", flush=True)
            beside = Run(server, session, 1, 60, reading=text[-int(options.tokens * 3.6):]).report()
            print(line("beside one", beside), flush=True)
            together = Run(server, session, options.clients, options.seconds).report()
            print(line(f"{options.clients} clients", together), flush=True)
            print(f"{together['tokens_per_second'] / alone['tokens_per_second']:.2f} times the tokens of one client")
            for sample in together["memory"]:
                print(
                    f"  after {sample['seconds']:5.0f} s: resident {sample['Rss']:7.0f} MiB, proportional {sample['Pss']:7.0f}, "
                    f"anonymous {sample['Pss_Anon']:7.0f}")
        finally:
            status = server.end()
        report = {
            "session_tokens": session["tokens"], "reading_seconds": reading, "first_stored": firsts, "first_next_turn": nexts,
            "alone": alone, "beside": beside, "together": together, "clients": options.clients}
        if options.json:
            with open(options.json, "w") as file:
                json.dump(report, file, indent=1)
    errors = alone["errors"] + beside["errors"] + together["errors"] + ([f"the server ended with {status}"] if status else [])
    for error in errors[:20]:
        print("error:", error)
    sys.exit(1 if errors else 0)


main()
