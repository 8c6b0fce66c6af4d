"""Clients that are programs or routers of their own: LiteLLM, by both interfaces, and the command line tool `llm`."""

import json
import os
import subprocess
import sys
import tempfile

# Otherwise it asks the net for the prices of models.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from pydantic import BaseModel

import checks

url, key = sys.argv[1:3]
question = [{"role": "user", "content": "Where is the Eiffel Tower?"}]
weather = {
    "type": "function", "function": {
        "name": "get_weather", "description": "The weather of a city.", "parameters": {
            "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}}}
asking = [{"role": "user", "content": "What is the weather in Paris?"}]
# This server answers any name with its one model.
by_openai = {"model": "openai/local", "api_base": f"{url}/v1", "api_key": key, "timeout": 300, "num_retries": 0}
by_anthropic = {"model": "anthropic/local", "api_base": url, "api_key": key, "timeout": 300, "num_retries": 0}


class City(BaseModel):
    name: str
    country: str


def completions():
    for place in (by_openai, by_anthropic):
        answer = litellm.completion(**place, messages=question, temperature=0, max_tokens=30)
        assert "Paris" in answer.choices[0].message.content, answer
        assert answer.usage.prompt_tokens > 5 and answer.usage.completion_tokens > 0, answer.usage
        parts = litellm.completion(**place, messages=question, temperature=0, max_tokens=30, stream=True)
        text = "".join(part.choices[0].delta.content or "" for part in parts)
        assert text == answer.choices[0].message.content, (text, answer)


def tools():
    for place in (by_openai, by_anthropic):
        answer = litellm.completion(
            **place, messages=asking, tools=[weather], tool_choice="required", temperature=0, max_tokens=120)
        message = answer.choices[0].message
        assert message.tool_calls[0].function.name == "get_weather", answer
        assert isinstance(json.loads(message.tool_calls[0].function.arguments)["city"], str), answer
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": "Rain, 11 degrees."} for call in message.tool_calls]
        told = litellm.completion(
            **place, temperature=0, max_tokens=40, tools=[weather],
            messages=[*asking, message.model_dump(exclude_none=True), *results])
        assert told.usage.completion_tokens > 0, told


def structured():
    answer = litellm.completion(
        **by_openai, messages=[{"role": "user", "content": "Describe Paris."}], response_format=City, temperature=0,
        max_tokens=150)
    City.model_validate_json(answer.choices[0].message.content)


def responses():
    answer = litellm.responses(**by_openai, input="Where is the Eiffel Tower?", max_output_tokens=30, temperature=0)
    assert "Paris" in answer.output[0].content[0].text, answer


def llm():
    """With settings in a folder of its own: streamed and whole answers, a conversation, a schema, a tool."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "extra-openai-models.yaml"), "w") as file:
            file.write(
                f"- model_id: local\n  model_name: local\n  api_base: {url}/v1\n  api_key_name: local\n"
                "  supports_schema: true\n  supports_tools: true\n")
        program = os.path.join(os.path.dirname(sys.executable), "llm")

        def say(*arguments):
            done = subprocess.run(
                [program, "-m", "local", "--key", key, "-o", "temperature", "0", "-o", "max_tokens", "120", *arguments],
                env={**os.environ, "LLM_USER_PATH": folder}, capture_output=True, text=True, timeout=300,
                stdin=subprocess.DEVNULL)
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
            return done.stdout

        assert "Paris" in say("Where is the Eiffel Tower?")
        assert "Paris" in say("--no-stream", "Where is the Eiffel Tower?")
        assert say("--continue", "Say its name again.").strip()
        city = json.loads(say("--schema", "name, country", "Describe Paris."))
        assert set(city) == {"name", "country"}, city
        tool = 'def get_weather(city: str) -> str:\n    "The weather of a city"\n    return "Rain"'
        say("--functions", tool, "--chain-limit", "3", "Where is the Eiffel Tower?")


sys.exit(checks.run((completions, tools, structured, responses, llm), chosen=sys.argv[3:]))
