"""Tools, structured answers, OpenAI's responses and Anthropic's messages, with the packages that people use for them."""

import asyncio
import json
import sys

import anthropic
import instructor
import openai
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from agents import set_tracing_disabled
from agents.exceptions import MaxTurnsExceeded
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

import checks

url, key = sys.argv[1:3]
client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=300)
claude = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=300)
model = client.models.list().data[0].id
question = [{"role": "user", "content": "What is the weather in Paris? Ask the tool."}]
schema = {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer"}},
    "required": ["city"]}
weather = {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": schema}}


class City(BaseModel):
    name: str
    country: str


def check(call):
    assert call.function.name == "get_weather", call
    arguments = json.loads(call.function.arguments)
    assert isinstance(arguments["city"], str) and set(arguments) <= {"city", "days"}, arguments


def forced_calls():
    """A forced call is valid whatever the model would rather say."""
    def ask(seed, **options):
        return client.chat.completions.create(
            model=model, messages=question, tools=[weather], tool_choice="required", temperature=1.5, seed=seed,
            max_tokens=400, **options).choices[0]
    for seed in range(100):
        choice = ask(seed, parallel_tool_calls=False)
        assert choice.finish_reason == "tool_calls" and len(choice.message.tool_calls) == 1, choice
        check(choice.message.tool_calls[0])
    for seed in range(20):
        # Hot as it is, the model may go on calling: only what the limit cut is no call.
        choice = ask(seed)
        calls = choice.message.tool_calls
        if choice.finish_reason == "length":
            assert len(calls) > 1, choice
            calls = calls[:-1]
        else:
            assert choice.finish_reason == "tool_calls", choice
        for call in calls:
            check(call)


def named_and_streamed_calls():
    choice = {"type": "function", "function": {"name": "get_weather"}}
    chunks = list(
        client.chat.completions.create(
            model=model, messages=question, tools=[weather], tool_choice=choice, temperature=0, max_tokens=120, stream=True))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert calls[0].id and calls[0].function.name == "get_weather", calls[:1]
    assert isinstance(json.loads("".join(call.function.arguments for call in calls))["city"], str)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def results_of_tools():
    answer = client.chat.completions.create(
        model=model, messages=question, tools=[weather], tool_choice="required", temperature=0, max_tokens=120)
    message = answer.choices[0].message
    call = message.tool_calls[0]
    told = client.chat.completions.create(
        model=model, temperature=0, max_tokens=60, tools=[weather], tool_choice="none",
        messages=question + [message.model_dump(exclude_none=True), {
            "role": "tool", "tool_call_id": call.id, "content": "Rain, 11 degrees."}])
    assert told.choices[0].message.content, told


def responses():
    first = client.responses.create(model=model, input="Say hello.", max_output_tokens=30, temperature=0)
    assert first.output_text and first.usage.input_tokens > 0, first
    second = client.responses.create(
        model=model, input="And again.", previous_response_id=first.id, max_output_tokens=30, temperature=0)
    assert second.usage.input_tokens_details.cached_tokens > first.usage.input_tokens, second.usage
    assert client.responses.retrieve(first.id).id == first.id
    events = list(client.responses.create(model=model, input="Count to five.", max_output_tokens=30, temperature=0, stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text, (text, events[-1])
    parsed = client.responses.parse(
        model=model, input="Describe Paris.", text_format=City, max_output_tokens=120, temperature=0)
    assert isinstance(parsed.output_parsed, City), parsed
    called = client.responses.create(
        model=model, input="Weather in Paris?", tools=[{"type": "function", "strict": True, **weather["function"]}],
        tool_choice="required", max_output_tokens=120, temperature=0)
    call = next(item for item in called.output if item.type == "function_call")
    told = client.responses.create(
        model=model, previous_response_id=called.id, max_output_tokens=30, temperature=0,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}])
    assert told.status in ("completed", "incomplete"), told


def messages():
    answer = claude.messages.create(
        model=model, max_tokens=30, system="Be brief.", messages=[{"role": "user", "content": "Say hello."}])
    assert answer.content[0].text and answer.stop_reason in ("end_turn", "max_tokens"), answer
    count = claude.messages.count_tokens(model=model, messages=[{"role": "user", "content": "Say hello."}])
    assert count.input_tokens > 5
    with claude.messages.stream(
        model=model, max_tokens=30, messages=[{"role": "user", "content": "Count to five."}]) as stream:
        text = "".join(stream.text_stream)
        assert text == stream.get_final_message().content[0].text
    tool = {"name": "get_weather", "description": "The weather.", "input_schema": schema}
    called = claude.messages.create(
        model=model, max_tokens=120, tools=[tool], tool_choice={"type": "any"},
        messages=[{"role": "user", "content": "Weather in Paris?"}])
    use = next(block for block in called.content if block.type == "tool_use")
    assert isinstance(use.input["city"], str) and called.stop_reason == "tool_use", called
    told = claude.messages.create(
        model=model, max_tokens=30, tools=[tool], messages=[
            {"role": "user", "content": "Weather in Paris?"}, {"role": "assistant", "content": called.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "Rain."}]}])
    assert told.usage.output_tokens > 0
    try:
        claude.messages.create(model=model, max_tokens=0, messages=[{"role": "user", "content": "x"}])
        raise AssertionError("0 tokens were taken")
    except anthropic.BadRequestError as error:
        assert "max_tokens" in str(error), error


def langchain():
    chat = ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=key, temperature=0, max_tokens=150, max_retries=0)

    @langchain_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return "Rain."

    answer = chat.bind_tools([get_weather], tool_choice="any").invoke("Weather in Paris?")
    assert answer.tool_calls[0]["name"] == "get_weather", answer
    for method in ("function_calling", "json_mode", "json_schema"):
        prompt = "Describe Paris as JSON with the keys name and country."
        made = chat.with_structured_output(City, method=method, include_raw=True).invoke(prompt)
        # Any object will do in json_mode: what is in it is the model's.
        assert method == "json_mode" or isinstance(made["parsed"], City), (method, made)


def instructor_modes():
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        made = instructor.from_openai(client, mode=mode).chat.completions.create(
            model=model, response_model=City, temperature=0, max_tokens=150, max_retries=1,
            messages=[{"role": "user", "content": "Describe Paris."}])
        assert isinstance(made, City), (mode, made)


def agents():
    set_tracing_disabled(True)
    asked = []

    @function_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "Rain."

    for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel):
        asked.clear()
        # A client is of one event loop.
        kit = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=300)
        agent = Agent(
            name="Weather", instructions="Use the tool.", tools=[get_weather], model=kind(model=model, openai_client=kit),
            model_settings=ModelSettings(tool_choice="required", temperature=0, max_tokens=120))
        try:
            done = asyncio.run(Runner.run(agent, "What is the weather in Paris?", max_turns=3))
            assert isinstance(done.final_output, str), done
        except MaxTurnsExceeded:
            # Small models go on asking.
            assert len(asked) == 3, asked
        assert asked


def pydantic():
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key=key)
    agent = PydanticAgent(
        OpenAIChatModel(model, provider=provider), output_type=City, model_settings={"temperature": 0, "max_tokens": 150})
    assert isinstance(agent.run_sync("Describe Paris, the capital of France.").output, City)


tests = (
    forced_calls, named_and_streamed_calls, results_of_tools, responses, messages, langchain, instructor_modes, agents,
    pydantic)
sys.exit(checks.run(tests, chosen=sys.argv[3:]))
