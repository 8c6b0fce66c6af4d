"""What llama-server's own tests ask of completions, tokens, properties, models, templates and pages, asked of this server.

    Tests/clients/paths.py [CHECK…]     RA: the program; RA_TEST_MODEL: a model that generates; RA_TEST_INFILL_MODEL: one that
                                        fills gaps; RA_TEST_EMBEDDING_MODEL, RA_TEST_RERANKING_MODEL; those not given are left out
"""

import base64
import datetime
import http.client
import json
import os
import re
import struct
import sys
import tempfile
import threading
import time
import uuid

import serving

threads = os.environ.get("THREADS", "1")
context = 512


def ask(server, method, path, body=None, headers=None):
    """Status, headers and JSON (or text) of an answer."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=600)
    try:
        data = json.dumps(body) if body is not None else None
        connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    kind = response.headers.get("Content-Type", "")
    return response.status, response.headers, json.loads(text) if kind.startswith("application/json") and text else text.decode()


def post(server, path, **body):
    status, _, answer = ask(server, "POST", path, body)
    assert status == 200, (path, body, status, answer)
    return answer


def refused(server, path, status, **body):
    found, _, answer = ask(server, "POST", path, body)
    assert found == status and "error" in answer, (path, body, found, answer)
    return answer["error"]


def tokens(server):
    content = "What is the capital of France ?"
    listed = post(server, "/tokenize", content=content)["tokens"]
    assert len(listed) > 5
    assert post(server, "/detokenize", tokens=listed)["content"].strip() == content
    pieces = post(server, "/tokenize", content="This is a test string with unicode 媽 and emoji 🤗", with_pieces=True)["tokens"]
    assert all(token["id"] >= 0 and len(token["piece"]) > 0 for token in pieces)
    assert any(isinstance(token["piece"], list) for token in pieces), "no token is a part of a character"
    control = post(server, "/tokenize", content="<|im_end|>")["tokens"]
    assert len(control) == 1 and len(post(server, "/tokenize", content="<|im_end|>", parse_special=False)["tokens"]) > 1
    assert post(server, "/tokenize", content=[1, 2, "a"])["tokens"][:2] == [1, 2]


def properties(server):
    _, _, props = ask(server, "GET", "/props")
    assert ".gguf" in props["model_path"] and props["total_slots"] == 4
    assert props["default_generation_settings"]["n_ctx"] == context
    assert "im_start" in props["chat_template"]
    for path in ["/models", "/v1/models"]:
        _, _, models = ask(server, "GET", path)
        card, = models["data"]
        assert card["id"] == "small" and set(card["aliases"]) == {"fim", "code"}, card
        assert card["meta"]["n_ctx_train"] > 0 and card["meta"]["size"] > 1 << 20
    for path in ["/health", "/v1/health"]:
        assert ask(server, "GET", path)[2]["status"] == "ok"
        assert ask(server, "HEAD", path)[0] == 200


def templates(server):
    messages = [{"role": "user", "content": "What is today?"}]
    prompt = post(server, "/apply-template", messages=messages)["prompt"]
    assert prompt.endswith("<|im_start|>assistant\n"), prompt
    closed = post(server, "/apply-template", messages=messages, add_generation_prompt=False)["prompt"]
    assert prompt.startswith(closed) and "assistant" not in closed.split("What is today?")[1]
    # The prompt goes on as the conversation does.
    text = post(server, "/v1/completions", prompt=prompt, temperature=0, max_tokens=8)["choices"][0]["text"]
    chat = post(server, "/v1/chat/completions", messages=messages, temperature=0, max_tokens=8)
    assert chat["choices"][0]["message"]["content"] == text


def completions(server):
    text = "I believe the meaning of life is"

    def complete(prompt, **more):
        return post(server, "/completions", prompt=prompt, **{"temperature": 0, "max_tokens": 8, **more})

    one = complete(text)
    assert one["choices"][0]["finish_reason"] == "length" and one["usage"]["completion_tokens"] == 8
    listed = post(server, "/tokenize", content=text, add_special=True)["tokens"]
    want = one["choices"][0]["text"]
    assert complete(listed)["choices"][0]["text"] == want
    for prompts in [[listed, listed], [listed, text], [listed, {"prompt_string": text}]]:
        both = complete(prompts)["choices"]
        assert [choice["text"] for choice in both] == [want, want], both
        assert [choice["index"] for choice in both] == [0, 1]
    mixed = complete([1, 2, 3, 4, 5, 6, text, 7, 8, 9, 10, text])
    assert isinstance(mixed["choices"][0]["text"], str) and len(mixed["choices"]) == 1
    assert complete(text, echo=True)["choices"][0]["text"] == text + want
    assert complete(listed, echo=True)["choices"][0]["text"].endswith(text + want)
    assert len({choice["text"] for choice in complete(text, n=12, temperature=1, seed=3)["choices"]}) > 3
    assert complete(text, model="davinci-002")["model"] == "small"
    again = [complete(text, seed=42, temperature=1)["choices"][0]["text"] for _ in range(3)]
    assert len(set(again)) == 1, again
    others = [complete(text, seed=seed, temperature=1)["choices"][0]["text"] for seed in range(4)]
    assert len(set(others)) > 1, others
    assert refused(server, "/v1/completions", 400, prompt={"prompt_string": text, "multimodal_data": "x"})["param"] == "prompt"
    assert refused(server, "/v1/completions", 400, prompt="word " * 4000)["code"] == "context_length_exceeded"
    status, _, answer = ask(server, "POST", "/v1/completions", {"prompt": "a", "suffix": "b", "max_tokens": 4})
    assert status == 200 or status == 400 and "trained to fill" in answer["error"]["message"], (status, answer)


def limits(server):
    """Longer than the context, none, and as many as fit."""
    ending = post(server, "/tokenize", content="<|im_end|><|endoftext|>")["tokens"]
    never = [[token, False] for token in ending]
    prompt = "1, 2, 3," * (context // 10)
    long = post(server, "/v1/completions", prompt=prompt, max_tokens=100_000, temperature=0, logit_bias=never)["usage"]
    assert long["completion_tokens_limit"] == long["completion_tokens"] == context - long["prompt_tokens"], long
    fit = post(server, "/v1/completions", prompt=prompt, max_tokens=-1, temperature=0, logit_bias=never)["usage"]
    assert fit["completion_tokens"] == long["completion_tokens"] and "completion_tokens_limit" not in fit
    none = post(server, "/v1/completions", prompt="Once", max_tokens=0)
    assert none["choices"][0]["text"] == "" and none["usage"]["completion_tokens"] == 0
    assert refused(server, "/v1/chat/completions", 400, messages=[{"role": "user", "content": "x"}], max_tokens=0)["param"] == "max_tokens"


def biases(server):
    wanted = post(server, "/tokenize", content=" world")["tokens"][0]
    for bias in [{str(wanted): 100}, [[wanted, 100]], [[" world", 100]], {" world": 100}]:
        text = post(server, "/v1/completions", prompt="Hello", max_tokens=3, temperature=0, logit_bias=bias)["choices"][0]["text"]
        assert text == " world world world", (bias, text)
    plain = post(server, "/v1/completions", prompt="Hello", max_tokens=1, temperature=0)["choices"][0]["text"]
    other = post(server, "/v1/completions", prompt="Hello", max_tokens=1, temperature=0, logit_bias=[[plain, False]])["choices"][0]["text"]
    assert plain and other != plain
    chat = post(
        server, "/v1/chat/completions", messages=[{"role": "user", "content": "Hi"}], max_tokens=2, temperature=0,
        logit_bias={str(wanted): 100})
    assert chat["choices"][0]["message"]["content"] == " world world"
    assert refused(server, "/v1/completions", 400, prompt="a", logit_bias=[[10**7, 1]])["param"] == "logit_bias"


def schemas(server):
    """Types of pydantic, by what their schemas say."""
    kinds = {
        "code": ({"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"}, lambda value: re.fullmatch("[A-Z]{2}-[0-9]{3}", value)),
        "day": ({"type": "string", "format": "date"}, datetime.date.fromisoformat),
        "at": ({"type": "string", "format": "date-time"}, datetime.datetime.fromisoformat),
        "share": ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, lambda value: 0 < value <= 1),
        "even": ({"type": "integer", "multipleOf": 6, "minimum": 7, "maximum": 99}, lambda value: value % 6 == 0 and 7 <= value <= 99),
        "price": ({"type": "number", "multipleOf": 0.01, "maximum": 20}, lambda value: value <= 20 and round(value, 2) == value),
        "tags": (
            {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2},
            lambda value: len(set(value)) == len(value) >= 2),
        "mail": ({"type": "string", "format": "email", "maxLength": 300}, lambda value: value.count("@") == 1),
        "site": ({"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083}, lambda value: value.startswith("http")),
        "took": ({"type": "string", "format": "duration"}, lambda value: value.startswith("P")),
        "id": ({"type": "string", "format": "uuid4"}, lambda value: uuid.UUID(value).version == 4)}
    ended = 0
    for name, (part, is_good) in kinds.items():
        schema = {"type": "object", "properties": {name: part}, "required": [name]}
        for kind in [{"json_schema": schema}, {"response_format": {"type": "json_object", "schema": schema}}]:
            choice = post(
                server, "/v1/chat/completions", messages=[{"role": "user", "content": "Make up a record."}], temperature=1, seed=3,
                max_tokens=80, **kind)["choices"][0]
            if choice["finish_reason"] != "stop":
                continue  # A long address, cut off by the limit.
            value = json.loads(choice["message"]["content"])[name]
            assert is_good(value), (name, value)
            ended += 1
    assert ended >= 16, f"{ended} of 22 ended"
    error = refused(
        server, "/v1/chat/completions", 400, messages=[{"role": "user", "content": "x"}],
        json_schema={"type": "array", "items": {"type": "string"}, "uniqueItems": True})
    assert "uniqueItems" in error["message"], error
    return f"{ended} of 22 ended before their limit"


def pages(server):
    asked = {"Origin": "https://web.mydomain.fr", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    status, headers, _ = ask(server, "OPTIONS", "/v1/completions", headers=asked)
    assert status == 204 and headers["Access-Control-Allow-Origin"] == asked["Origin"], (status, headers)
    assert "POST" in headers["Access-Control-Allow-Methods"] and headers["Access-Control-Allow-Headers"] == "authorization"
    assert ask(server, "OPTIONS", "/v1/completions", headers={**asked, "Origin": "https://evil.com"})[0] == 403


def huge(server):
    """Thirty megabytes of prompt, refused or read, hold nobody up."""
    longest, over = [0.0], threading.Event()

    def watch():
        while not over.is_set():
            start = time.monotonic()
            assert ask(server, "GET", "/health")[0] == 200
            longest[0] = max(longest[0], time.monotonic() - start)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        text = "All work and no play makes Jack a dull boy. " * (30 * (1 << 20) // 44)
        refused(server, "/v1/completions", 400, prompt=text, max_tokens=1)
        assert len(post(server, "/tokenize", content=text)["tokens"]) > 1 << 20
    finally:
        over.set()
        watcher.join()
    assert longest[0] < 1, f"health took {longest[0]:.2f} s"
    return f"health took {longest[0] * 1000:.0f} ms at most"


def strict(server):
    assert refused(server, "/v1/completions", 404, prompt="a", model="gpt-4")["code"] == "model_not_found"
    assert post(server, "/v1/completions", prompt="a", model="code", max_tokens=1)["model"] == "small"
    assert ask(server, "GET", "/models/fim")[0] == 200 and ask(server, "GET", "/models/gpt-4")[0] == 404
    assert refused(server, "/v1/embeddings", 501, input="x")["type"] == "not_supported_error"
    assert refused(server, "/v1/rerank", 501, query="x", documents=["y"])["type"] == "not_supported_error"


def infill(server):
    answer = post(
        server, "/v1/completions", prompt="def add(a, b):\n    return ", suffix="\n\nprint(add(1, 2))\n", temperature=0, max_tokens=16)
    assert "a + b" in answer["choices"][0]["text"], answer
    return answer["choices"][0]["text"]


def embeddings(server):
    one = post(server, "/v1/embeddings", input="I believe the meaning of life is", model="text-embedding-3-small")
    vector = one["data"][0]["embedding"]
    assert len(vector) > 1 and abs(sum(x * x for x in vector) - 1) < 1e-3
    assert one["usage"]["prompt_tokens"] == one["usage"]["total_tokens"] > 0
    several = post(server, "/v1/embeddings", input=["I believe the meaning of life is"] * 5)["data"]
    assert all(abs(x - y) < 1e-3 for other in several for x, y in zip(other["embedding"], vector))
    text = post(server, "/v1/embeddings", input="I believe the meaning of life is", encoding_format="base64")
    data = base64.b64decode(text["data"][0]["embedding"])
    assert all(abs(x - y) < 1e-3 for x, y in zip(struct.unpack(f"<{len(data) // 4}f", data), vector))
    assert "too large" in refused(server, "/v1/embeddings", 400, input="This is a test " * 20_000)["message"]
    refused(server, "/v1/completions", 501, prompt="a")
    sentences = ["A cat sits on the mat.", "A kitten is on the rug.", "Stock prices fell sharply today."]
    a, b, c = (item["embedding"] for item in post(server, "/v1/embeddings", input=sentences)["data"])
    near, far = (sum(x * y for x, y in zip(a, other)) for other in (b, c))
    assert near > far, (near, far)
    return f"{len(vector)} elements; alike {near:.2f}, different {far:.2f}"


def reranking(server):
    documents = [
        "A machine is a physical system that uses power to apply forces and control movement to perform an action.",
        "Learning is the process of acquiring new understanding, knowledge, behaviors, skills, values and attitudes.",
        "Machine learning is a field of study in artificial intelligence concerned with statistical algorithms that learn from data.",
        "Paris, capitale de la France, est une grande ville européenne et un centre mondial de l'art et de la mode."]
    results = post(server, "/rerank", query="Machine learning is", documents=documents)["results"]
    assert len(results) == 4 and results[0]["index"] == 2 and results[-1]["index"] == 3, results
    plain = post(server, "/rerank", query="Machine learning is", texts=documents, top_n=2)
    assert [item["index"] for item in plain] == [result["index"] for result in results[:2]]


def run(name, model, arguments, checks):
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        server = serving.Server(["--model", model, "--threads", threads, *arguments], os.path.join(folder, "log"))
        try:
            for check in checks:
                if sys.argv[1:] and check.__name__ not in sys.argv[1:]:
                    continue
                start = time.monotonic()
                try:
                    told = check(server)
                except Exception as error:
                    failures += 1
                    print(f"{name}: {check.__name__} FAILED: {error!r}"[:2000], flush=True)
                else:
                    print(f"{name}: {check.__name__}, {time.monotonic() - start:.1f} s{': ' + told if told else ''}", flush=True)
        finally:
            server.end()
    return failures


def main():
    names = ["--name", "small", "--alias", "fim", "--alias", "code", "--context", f"{context}"]
    origin = ["--allow-origin", "https://web.mydomain.fr"]
    model = serving.find_model()
    failures = run(
        "generating", model, names + origin,
        [tokens, properties, templates, completions, limits, biases, schemas, pages, huge])
    failures += run("strict", model, names + ["--strict-model"], [strict])
    for variable, check in [
        ("RA_TEST_INFILL_MODEL", infill), ("RA_TEST_EMBEDDING_MODEL", embeddings), ("RA_TEST_RERANKING_MODEL", reranking)]:
        if os.environ.get(variable):
            failures += run(check.__name__, os.environ[variable], [], [check])
        else:
            print(f"{check.__name__}: left out, {variable} names no model")
    return 1 if failures else 0


sys.exit(main())
