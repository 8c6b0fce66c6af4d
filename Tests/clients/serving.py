"""A server to test, and a small client for it: the standard library alone, so that clients cost next to nothing."""

import http.client
import json
import os
import subprocess
import time
import urllib.parse

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def tool():
    return os.environ.get("RA", os.path.join(root, ".build/release/ra"))


def find_model():
    return os.environ.get("RA_TEST_MODEL") or subprocess.check_output(
        [os.path.join(root, "scripts/fetch-model"), "smollm2"], text=True).strip()


class Broken(Exception):
    """An answer that ended with an error, or before its end."""


class Server:
    """`ra serve` on a free port, with its log in a file."""

    def __init__(self, arguments, log):
        self.log = log
        with open(log, "w") as file:
            self.process = subprocess.Popen([tool(), "serve", "--port", "0", *arguments], stderr=file)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with open(log) as file:
                for line in file:
                    if line.startswith("listening on "):
                        place = urllib.parse.urlparse(line.split()[-1])
                        self.host, self.port = place.hostname, place.port
                        return
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}:\n{open(log).read()}")
            time.sleep(0.05)
        raise SystemExit("the server does not listen")

    @property
    def pid(self):
        return self.process.pid

    def end(self, signal_=15):
        self.process.send_signal(signal_)
        return self.process.wait()

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=600)
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 300:
            raise Broken(f"{response.status}: {data['error']['message']}")
        return data

    def upload(self, text, name):
        return self.request("POST", "/v1/sessions", {"name": name, "text": text})

    def stream(self, messages, session=None, tokens=64, on_token=None):
        """Streams an answer. Returns text, usage and statistics, seconds to the first token and between tokens."""
        body = {
            "messages": messages, "max_tokens": tokens, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}}
        if session:
            body["session"] = session
        connection = http.client.HTTPConnection(self.host, self.port, timeout=600)
        start = time.monotonic()
        times, text, last = [], "", {}
        try:
            connection.request(
                "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise Broken(f"{response.status}: {response.read()[:300]}")
            for line in response:
                if not line.startswith(b"data: "):
                    continue
                if line.strip() == b"data: [DONE]":
                    return text, last, times[0] - start if times else None, [b - a for a, b in zip(times, times[1:])]
                event = json.loads(line[6:])
                if "error" in event:
                    raise Broken(event["error"]["message"])
                last = event if event.get("usage") else last
                for choice in event["choices"]:
                    if choice["delta"].get("content"):
                        times.append(time.monotonic())
                        text += choice["delta"]["content"]
                        if on_token:
                            on_token()
            raise Broken("the answer ended before its end")
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")
