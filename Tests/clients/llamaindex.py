"""LlamaIndex, which depends on an older version of OpenAI's package than the other clients: chat, streams, tools, schemas."""

import asyncio
import sys

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from workflows.errors import WorkflowRuntimeError

import checks

url, key = sys.argv[1:3]


class City(BaseModel):
    """A city."""

    name: str
    country: str


def get_weather(city: str) -> str:
    """The weather of a city."""
    asked.append(city)
    return "Rain, 11 degrees."


asked = []
weather = FunctionTool.from_defaults(get_weather)


def make(**settings):
    return OpenAILike(
        model="local", api_base=f"{url}/v1", api_key=key, is_chat_model=True, is_function_calling_model=True,
        context_window=4096, temperature=0, max_tokens=120, max_retries=0, timeout=300, **settings)


def chat():
    messages = [ChatMessage(role="user", content="Where is the Eiffel Tower?")]
    answer = make().chat(messages).message.content
    assert "Paris" in answer, answer
    assert "".join(part.delta or "" for part in make().stream_chat(messages)) == answer
    assert make().complete("Where is the Eiffel Tower?").text


def structured():
    """By a forced call of a tool, and by a schema."""
    describe = PromptTemplate("Describe {name}.")
    city = make().structured_predict(City, describe, llm_kwargs={"tool_choice": "required"}, name="Paris")
    assert isinstance(city, City), city
    city = make(should_use_structured_outputs=True).structured_predict(City, describe, name="Paris")
    assert isinstance(city, City), city


def tools():
    answer = make().chat_with_tools([weather], user_msg="What is the weather in Paris?", tool_required=True)
    call, = make().get_tool_calls_from_response(answer)[:1]
    assert call.tool_name == "get_weather" and isinstance(call.tool_kwargs["city"], str), answer


def agent():
    """Small models may answer without asking, or go on asking."""
    asked.clear()

    async def run():
        worker = FunctionAgent(tools=[weather], llm=make(), system_prompt="Use the tool to answer.", initial_tool_choice="get_weather")
        return await worker.run("What is the weather in Paris?", max_iterations=3)

    try:
        assert str(asyncio.run(run()))
    except WorkflowRuntimeError as error:
        assert "Max iterations" in str(error), error
    assert asked


sys.exit(checks.run((chat, structured, tools, agent), label="llamaindex "))
