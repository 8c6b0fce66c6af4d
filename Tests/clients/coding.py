"""aider in a repository of its own: a question of any model, an edit of one that writes code."""

import os
import subprocess
import sys
import tempfile

import checks

url, key, model = sys.argv[1:4]
code = 'def greet(name):\n    return "Hello " + name\n'
program = os.path.join(os.path.dirname(sys.executable), "aider")


def aider(folder, message):
    """What it printed. Its settings, history and cache are in the folder too."""
    done = subprocess.run(
        [program, "--model", "openai/local", "--edit-format", "whole", "--map-tokens", "0", "--no-show-model-warnings",
         "--no-check-update", "--analytics-disable", "--no-gitignore", "--no-auto-commits", "--yes-always", "--no-pretty",
         "--message", message, "greet.py"],
        cwd=folder, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL,
        env={**os.environ, "HOME": folder, "OPENAI_API_KEY": key, "OPENAI_API_BASE": f"{url}/v1"})
    assert done.returncode == 0 and "Tokens:" in done.stdout, (done.stdout, done.stderr)
    return done.stdout


def repository(folder):
    with open(os.path.join(folder, "greet.py"), "w") as file:
        file.write(code)
    for arguments in (["init", "-q"], ["add", "greet.py"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def asks():
    with tempfile.TemporaryDirectory() as folder:
        repository(folder)
        aider(folder, "/ask What does greet return for Ann?")
        with open(os.path.join(folder, "greet.py")) as file:
            assert file.read() == code


def edits():
    with tempfile.TemporaryDirectory() as folder:
        repository(folder)
        printed = aider(folder, "Add a function shout(name) to greet.py that returns greet(name) in capital letters.")
        done = subprocess.run(
            [sys.executable, "-c", "import greet; print(greet.shout('Ann'))"], cwd=folder, capture_output=True, text=True)
        # Which of the two capital texts it returns is the model's.
        assert done.stdout in ("HELLO ANN\n", "ANN\n"), (printed, done)


sys.exit(checks.run((asks, edits) if "coder" in model.lower() else (asks,), label="aider "))
