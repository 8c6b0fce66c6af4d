"""Bad requests by the thousand: malformed, oversized, truncated, slow, aborted. A seed makes a run repeatable.

The server must answer each with a status that fits, or close; live; and serve a well-behaved client all the while.
"""

import json
import random
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request

url, key, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
place = urllib.parse.urlparse(url)
spec = json.load(urllib.request.urlopen(f"{url}/openapi.json"))
allowed = {
    (method.upper(), path): {int(status) for status in operation["responses"]} | {400, 405, 413}
    for path, operations in spec["paths"].items() for method, operation in operations.items()
    if method != "parameters"
}
random_ = random.Random(seed)
# Few tokens: what is wrong is to be found out, not how well it writes.
chat = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "temperature": 0}
text = {"prompt": "Hi", "max_tokens": 2, "temperature": 0}
junk = [
    None, True, False, 0, -1, 1, 1.5, 1e308, -1e308, 2**31, 2**63, 2**70, "", "x", "\u0000", "\ud83d\ude00", "a" * 5000,
    [], {}, [[]], [None], [{}], {"a": 1}, [1, 2, 3], [-1], [2**40], "../../etc/passwd", "%2e%2e/", "\r\nX: y",
    {"type": "json_schema"}, {"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}},
    {"type": "json_schema", "json_schema": {"schema": {"type": "array", "items": {"$ref": "#"}, "minItems": 1}}},
    {"type": "json_object"}, "root ::= root", "root ::= (", "root ::= \"a\"{99999999}", "root ::= [", "(" * 5000,
    "root ::= \"a\"{3,1}", "root ::= [z-a]", "root ::= root \"a\" | \"b\"", "x ::= \"a\"", {"include_usage": 7},
]
fields = [
    "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n", "stop", "seed", "stream",
    "stream_options", "logprobs", "top_logprobs", "response_format", "grammar", "session", "model", "tools", "top_k",
    "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty", "user", "logit_bias", "return_progress",
    "echo", "suffix", "n_predict", "best_of", "parse_special",
    "json_schema", "guided_json", "guided_choice", "guided_grammar", "structured_outputs", "format", "ebnf",
]


def mutate(value):
    """A copy with something wrong somewhere."""
    value = json.loads(json.dumps(value))
    for _ in range(random_.randint(1, 3)):
        if random_.random() < 0.7:
            value[random_.choice(fields)] = random_.choice(junk)
        elif isinstance(value.get("messages"), list):
            message = random_.choice(value["messages"] or [{}])
            if isinstance(message, dict):
                message[random_.choice(["role", "content", "name"])] = random_.choice(junk)
    # What is right after all must not take long.
    for limit in ["max_tokens", "max_completion_tokens"]:
        if isinstance(value.get(limit), int) and 2 < value[limit]:
            value[limit] = random_.choice([2, 2**31])
        # As many as fit.
        if value.get(limit) == -1:
            value[limit] = 2
    if value.get("max_tokens") is None:
        value["max_tokens"] = 2
    return value


def body():
    kind = random_.random()
    path, good = random_.choice([("/v1/chat/completions", chat), ("/v1/completions", text)])
    if kind > 0.9:
        path = random_.choice(["/tokenize", "/detokenize", "/apply-template", "/v1/embeddings", "/v1/rerank"])
        names = ["content", "tokens", "messages", "input", "query", "documents", "texts", "add_special", "with_pieces", "top_n"]
        return path, json.dumps({name: random_.choice(junk) for name in random_.sample(names, 4)}).encode()
    if kind < 0.1:
        path, good = "/v1/sessions", {"text": random_.choice(junk), "name": random_.choice(junk), "stream": random_.choice(junk)}
        return path, json.dumps(good).encode()
    data = json.dumps(mutate(good)).encode()
    if kind < 0.25:
        cut = random_.randrange(len(data))
        data = data[:cut] + bytes(random_.randrange(256) for _ in range(random_.randint(0, 8))) + data[cut + random_.randint(0, 9):]
    elif kind < 0.3:
        data = b"[" * random_.randint(1, 200_000)
    elif kind < 0.33:
        data = bytes(random_.randrange(256) for _ in range(random_.randint(0, 3000)))
    return path, data


def request():
    """Bytes to send, what the answer may be (None: anything, or nothing), and how to misbehave."""
    kind = random_.random()
    if kind < 0.08:
        methods = ["GET", "PUT", "DELETE", "PATCH", "BREW", "OPTIONS", "HEAD"]
        paths = list(spec["paths"]) + ["/v1/sessions/" + random_.choice(["..", "%00", "a" * 3000, "é"]), "//", "/v1", "*"]
        method, path = random_.choice(methods), random_.choice(paths).replace("{id}", "x")
        known = method in ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"] and path in spec["paths"]
        # HEAD is answered as GET, without a body.
        statuses = (allowed.get(("GET" if method == "HEAD" else method, path)) or {405}) | {404} if known else None
        return head(method, path, None), statuses, "send"
    if kind < 0.14:
        raw = random_.choice([
            b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            b"POST /v1/completions HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", bytes(random_.randrange(256) for _ in range(200)),
        ])
        return raw, None, "junk"
    path, data = body()
    if kind < 0.17:
        return head("POST", path, data, key=random_.choice(["", "wrong", "x" * 5000])) + data, {401}, "send"
    if kind < 0.19:
        return head("POST", path, data, length=6 << 20) + data, {413}, "send"
    if kind < 0.27:
        return head("POST", path, data) + data, None, random_.choice(["abort", "truncate", "slow"])
    return head("POST", path, data) + data, allowed[("POST", path)], "send"


def head(method, path, data, key=key, length=None):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {place.netloc}", "Connection: close", f"Authorization: Bearer {key}"]
    if data is not None:
        lines.append(f"Content-Length: {len(data) if length is None else length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def send(data, behavior):
    """The status of the answer, 0 for a connection that was closed without one."""
    with socket.create_connection((place.hostname, place.port), timeout=120) as connection:
        try:
            if behavior == "slow":
                for start in range(0, len(data), max(1, len(data) // 5)):
                    connection.sendall(data[start:start + max(1, len(data) // 5)])
                    time.sleep(0.01)
            elif behavior == "truncate":
                connection.sendall(data[:random_.randrange(1, len(data))])
                return 0
            else:
                connection.sendall(data)
            if behavior == "junk":
                # Half a head may be waited for, until the connection has been idle for too long.
                connection.settimeout(0.5)
                try:
                    answer = connection.recv(65536).split()
                    return int(answer[1]) if len(answer) > 1 else 0
                except TimeoutError:
                    return 0
            if behavior == "abort":
                time.sleep(random_.random() * 0.05)
                return 0
            half_closed = random_.random() < 0.02
            if half_closed:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while b"\r\n" not in answer or len(answer) < 12:
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
            first = answer.split(b"\r\n")[0].split()
            status = int(first[1]) if len(first) > 1 else 0
            while part := connection.recv(65536):
                answer += part
            # Who will send no more counts as gone, and may be told so.
            return 0 if half_closed and status == 503 and b'"cancelled"' in answer else status
        except (ConnectionResetError, BrokenPipeError):
            return 0


stop = threading.Event()
good = {"count": 0, "failed": [], "slowest": 0.0}


def neighbor():
    """A client that does nothing wrong."""
    while not stop.is_set():
        start = time.time()
        try:
            data = json.dumps(chat).encode()
            call = urllib.request.Request(f"{url}/v1/chat/completions", data=data, headers={"Authorization": f"Bearer {key}"})
            assert json.load(urllib.request.urlopen(call, timeout=120))["choices"][0]["finish_reason"]
            good["count"] += 1
        except Exception as error:
            good["failed"].append(repr(error))
        good["slowest"] = max(good["slowest"], time.time() - start)
        time.sleep(0.2)


thread = threading.Thread(target=neighbor, daemon=True)
thread.start()
statuses, wrong, slowest, start = {}, [], (0.0, b""), time.time()
for number in range(count):
    data, expected, behavior = request()
    began = time.time()
    try:
        status = send(data, behavior)
        slowest = max(slowest, (time.time() - began, data[:300]))
    except Exception as error:
        wrong.append(f"{number}: {error!r} for {data[:300]!r}")
        continue
    statuses[status] = statuses.get(status, 0) + 1
    # 501: this model cannot do what a path is for.
    if status >= 500 and status != 501 or (expected is not None and status != 0 and status not in expected):
        wrong.append(f"{number}: {status} for {data[:600]!r}")
stop.set()
thread.join()
print(f"{count} bad requests in {time.time() - start:.0f} s (seed {seed}), by status: {dict(sorted(statuses.items()))}")
print(f"the slowest took {slowest[0]:.2f} s: {slowest[1]!r}")
print(f"meanwhile {good['count']} good ones, the slowest {good['slowest']:.2f} s")
for line in (wrong + good["failed"])[:20]:
    print("WRONG", line)
if not good["count"]:
    print("WRONG no good request was served")
sys.exit(1 if wrong or good["failed"] or not good["count"] else 0)
