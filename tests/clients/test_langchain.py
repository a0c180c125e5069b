"""langchain-openai as its users have it."""

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI


@pytest.fixture
def chat(gateway):
    return ChatOpenAI(base_url=gateway.url + "/v1", api_key="none", model="smollm2", temperature=0, max_tokens=24, max_retries=0)


@pytest.fixture
def messages(system):
    return [SystemMessage(system["content"]), HumanMessage("What is the capital of France?")]


def test_invoke_answers(chat, messages):
    answer = chat.invoke(messages)
    assert "Paris" in answer.content
    assert answer.usage_metadata["total_tokens"] == answer.usage_metadata["input_tokens"] + answer.usage_metadata["output_tokens"]


def test_stream_says_what_invoke_says(chat, messages):
    pieces = [chunk.content for chunk in chat.stream(messages)]
    assert len(pieces) > 2
    assert "".join(pieces) == chat.invoke(messages).content


def test_batch_answers_all(chat):
    answers = chat.batch([f"What is {number} plus {number}?" for number in range(4)])
    assert all(answer.content for answer in answers)
