#!/usr/bin/env python3
"""Kills a server under load (SIGKILL), starts it again, and checks sessions and clients.

usage: Tests/clients/kill.py [KILLS]

Each time: clients stream answers about a stored document while another document is uploaded, and at a random moment the
server is killed. Clients must see an error or an answer that does not end, never a wrong one; after the restart every
session must pass `ra session verify`, all that were ready must be listed, and each client's question is answered as
before. RA names the program, RA_TEST_MODEL the model.
"""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time

from serving import Broken, Server, find_model, root, tool

kills = int(sys.argv[1]) if len(sys.argv) > 1 else 5
clients = 4
text = open(os.path.join(root, "Texts/alice.txt"), encoding="utf-8").read()
other = open(os.path.join(root, "Texts/persuasion.txt"), encoding="utf-8").read()
questions = [f"What does the text say about {word}?" for word in ["Alice", "the rabbit", "her sister", "the hole"]]
seed = random.Random(7)


def message(question):
    return [{"role": "user", "content": question}]


def main():
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        arguments = ["--model", find_model(), "--session-store", store, "--threads", "1", "--log-level", "error"]
        server = Server(arguments, os.path.join(folder, "log"))
        session = server.upload(text[:6000], "alice")
        expected = {question: server.stream(message(question), session["id"], 24)[0] for question in questions}
        ready = {session["id"]}
        for kill in range(kills):
            broken, wrong, uploaded = [], [], []

            def client(question):
                try:
                    while True:
                        answer = server.stream(message(question), session["id"], 24)[0]
                        if not answer:
                            wrong.append((question, answer))
                except Broken as error:
                    broken.append(str(error))

            def upload():
                try:
                    start = seed.randrange(100_000)
                    while True:
                        uploaded.append(server.upload(other[start:start + 800], "other")["id"])
                        start += 800
                except (Broken, OSError, ValueError) as error:
                    broken.append(str(error))
                except Exception as error:  # The connection ended in the middle of an answer.
                    broken.append(type(error).__name__)

            threads = [threading.Thread(target=client, args=(question,)) for question in questions]
            threads.append(threading.Thread(target=upload))
            for thread in threads:
                thread.start()
            time.sleep(seed.uniform(1, 10))
            server.end(9)
            for thread in threads:
                thread.join()
            ready |= set(uploaded)
            if len(broken) != clients + 1 or wrong:
                sys.exit(f"after kill {kill + 1}: {broken}, {wrong}")
            start = time.monotonic()
            server = Server(arguments, os.path.join(folder, "log"))
            restart = time.monotonic() - start
            listed = {entry["id"] for entry in server.request("GET", "/v1/sessions")["data"]}
            if not ready <= listed:
                sys.exit(f"after kill {kill + 1}: lost {ready - listed}")
            # What was complete just before its client heard of it is there, too.
            ready = listed
            names = [name for name in os.listdir(store) if not name.startswith(".")]
            subprocess.run(
                [tool(), "session", "verify", *[os.path.join(store, name) for name in names]],
                check=True, stdout=subprocess.DEVNULL)
            for question in questions:
                answer, last, first, _ = server.stream(message(question), session["id"], 24)
                if answer != expected[question]:
                    sys.exit(f"after kill {kill + 1}: {question}: {answer!r} instead of {expected[question]!r}")
                if last["usage"]["prompt_tokens_details"]["cached_tokens"] < session["tokens"]:
                    sys.exit(f"after kill {kill + 1}: the document was read again")
            print(
                f"kill {kill + 1}: {len(listed)} sessions intact, listening again after {restart:.2f} s, all answers as before",
                flush=True)
        if server.end() != 0:
            sys.exit("the server did not end well")


main()
