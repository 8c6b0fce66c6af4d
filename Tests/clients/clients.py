"""What people's programs do: chat, stream, ask for JSON, go wrong, leave. With the packages they use."""

import json
import sys
import time
import urllib.request

import openai
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

url, key = sys.argv[1:3]
client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=300)
model = client.models.list().data[0].id
question = [{"role": "user", "content": "Where is the Eiffel Tower?"}]


class City(BaseModel):
    name: str
    country: str
    population: int


def metrics():
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"})
    lines = urllib.request.urlopen(request).read().decode().splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}


def fails(kind, **arguments):
    try:
        client.chat.completions.create(**{"model": model, "messages": question, **arguments})
    except kind as error:
        return error
    raise AssertionError(f"{arguments} did not raise {kind}")


def chat():
    answer = client.chat.completions.create(model=model, messages=question, temperature=0, max_tokens=30)
    assert "Paris" in answer.choices[0].message.content, answer
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    again = client.chat.completions.create(model=model, messages=question, temperature=0, max_tokens=30)
    assert again.usage.prompt_tokens_details.cached_tokens == answer.usage.prompt_tokens - 1, again.usage
    assert again.choices[0].message.content == answer.choices[0].message.content


def stream():
    chunks = list(
        client.chat.completions.create(
            model=model, messages=question, temperature=0, max_tokens=30, stream=True,
            stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Paris" in text, text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 0 and not chunks[-1].choices


def several():
    answer = client.chat.completions.create(
        model=model, messages=question, n=3, temperature=1, seed=5, max_tokens=8, logprobs=True, top_logprobs=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    for choice in answer.choices:
        assert len(choice.logprobs.content[0].top_logprobs) == 2
        assert choice.logprobs.content[0].logprob <= 0


def text():
    answer = client.completions.create(model=model, prompt="1, 2, 3, 4,", max_tokens=12, temperature=0, stop=" 7")
    assert "5" in answer.choices[0].text and "7" not in answer.choices[0].text, answer
    assert answer.choices[0].finish_reason == "stop"
    scored = client.completions.create(model=model, prompt="1, 2, 3,", max_tokens=4, temperature=0, logprobs=2)
    assert len(scored.choices[0].logprobs.tokens) == 4
    assert "".join(scored.choices[0].logprobs.tokens) == scored.choices[0].text


def structured():
    prompt = [{"role": "user", "content": "Describe Paris."}]
    parsed = client.chat.completions.parse(
        model=model, messages=prompt, response_format=City, temperature=0, max_tokens=200)
    city = parsed.choices[0].message.parsed
    assert isinstance(city, City), parsed
    whole = client.chat.completions.create(
        model=model, messages=prompt, response_format={"type": "json_object"}, temperature=0, max_tokens=300)
    if whole.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(whole.choices[0].message.content), dict)


def errors():
    assert fails(openai.BadRequestError, temperature=9).param == "temperature"
    long = [{"role": "user", "content": "word " * 10_000}]
    assert fails(openai.BadRequestError, messages=long).code == "context_length_exceeded"
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "(?=a)"}}}
    assert "pattern" in fails(openai.BadRequestError, response_format=schema).message
    huge = [{"role": "user", "content": "x" * (5 << 20)}]
    try:
        fails(openai.APIStatusError, messages=huge)
    except openai.APIConnectionError:
        pass  # The server closes before all of it is sent; not every client reads the answer then.
    try:
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0).models.list()
        raise AssertionError("a wrong key was taken")
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key"
    try:
        client.embeddings.create(model=model, input="x")
        raise AssertionError("there are embeddings")
    except openai.InternalServerError as error:
        assert error.status_code == 501, error


def leaving():
    before = metrics()["ra_requests_cancelled_total"]
    stream = client.chat.completions.create(
        model=model, messages=question, stream=True, max_tokens=1500,
        # So that it cannot end by itself.
        extra_body={"grammar": "root ::= [a-z ]{1500}"})
    for number, _ in enumerate(stream):
        if number == 5:
            break
    stream.close()
    for _ in range(100):
        now = metrics()
        if now["ra_requests_cancelled_total"] > before and now["ra_sequences_running"] == 0:
            return
        time.sleep(0.1)
    raise AssertionError("the work went on")


def sessions():
    body = json.dumps({"name": "story", "text": "Anna has a green parrot called Otto. " * 40}).encode()
    request = urllib.request.Request(
        f"{url}/v1/sessions", data=body,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    session = json.load(urllib.request.urlopen(request))
    assert session["state"] == "ready", session
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "What color is the parrot?"}], temperature=0, max_tokens=20,
        extra_body={"session": session["id"]})
    assert answer.usage.prompt_tokens_details.cached_tokens >= session["tokens"] - 2, answer.usage
    assert "green" in answer.choices[0].message.content.lower(), answer


def langchain():
    chat = ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=key, temperature=0, max_tokens=60, max_retries=0)
    assert "Paris" in chat.invoke("Where is the Eiffel Tower?").content
    assert "Paris" in "".join(chunk.content for chunk in chat.stream("Where is the Eiffel Tower?"))
    city = chat.with_structured_output(City, method="json_schema").invoke("Describe Paris.")
    assert isinstance(city, City)


failed = 0
for check in [chat, stream, several, text, structured, errors, leaving, sessions, langchain]:
    start = time.time()
    try:
        check()
        print(f"ok      {check.__name__}, {time.time() - start:.1f} s")
    except Exception as error:
        failed += 1
        print(f"FAILED  {check.__name__}: {type(error).__name__}: {error}")
sys.exit(1 if failed else 0)
