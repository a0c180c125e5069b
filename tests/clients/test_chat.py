"""The model in process through the openai client."""

import json

import httpx
import openai
import pytest

QUESTION = {"role": "user", "content": "What is the capital of France?"}


def sse_events(response):
    """The data of every event; checks that each line is whole UTF-8."""
    raw = b"".join(response.iter_raw())
    lines = [line for line in raw.split(b"\n") if line]
    assert all(line.startswith(b"data: ") for line in lines)
    return [line[len(b"data: ") :].decode("utf-8") for line in lines]


def stream(gateway, body):
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json={"stream": True, **body}, timeout=60) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return sse_events(response), response.headers


def test_a_question_is_answered_with_usage(ask):
    reply = ask("What is the capital of France?")
    assert "Paris" in reply.text
    usage = reply.body.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert reply.body.object == "chat.completion" and reply.body.model == "smollm2"
    assert reply.body.id.startswith("chatcmpl-")
    assert reply.cache == "miss" and reply.cached is False


def test_the_limit_on_tokens_is_kept(ask):
    reply = ask("Tell me a long story about a river.", max_tokens=5)
    assert reply.body.usage.completion_tokens == 5
    assert reply.body.choices[0].finish_reason == "length"


def test_a_stop_sequence_ends_the_answer_and_is_not_part_of_it(ask):
    reply = ask("What is the capital of France?", stop=["Paris"])
    assert "Paris" not in reply.text
    assert reply.body.choices[0].finish_reason == "stop"


def test_a_stream_has_openai_s_order_of_chunks(gateway, system):
    body = {"model": "smollm2", "messages": [system, QUESTION], "temperature": 0, "max_tokens": 24,
            "stream_options": {"include_usage": True}}
    events, headers = stream(gateway, body)
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    # role ▶ content … ▶ finish reason ▶ usage
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert all(chunk["choices"][0]["delta"]["content"] for chunk in chunks[1:-2])
    assert chunks[-2]["choices"][0]["delta"] == {} and chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["prompt_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert headers["x-kvasir-cache"] == "miss"


def test_a_stream_says_the_same_as_a_plain_answer(client, system):
    request = {"model": "smollm2", "messages": [system, QUESTION], "temperature": 0, "max_tokens": 24,
               "extra_headers": {"cache-control": "no-store"}}
    plain = client.chat.completions.create(**request).choices[0].message.content
    streamed = client.chat.completions.create(stream=True, **request)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices) == plain


@pytest.mark.parametrize("text", ["😀🎉🌍🚀 😀🎉🌍🚀", "Xin chào, tôi yêu Việt Nam. Chúc một ngày tốt lành!", "你好，世界。我们喜欢喝茶。"])
def test_characters_are_never_split_between_chunks(gateway, text):
    # A small model asked to repeat goes on with what it just read.
    messages = [{"role": "user", "content": f"Repeat: {text}"}, {"role": "assistant", "content": text},
                {"role": "user", "content": f"Repeat: {text}"}]
    events, _ = stream(gateway, {"model": "smollm2", "messages": messages, "temperature": 0, "max_tokens": 40})
    deltas = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert not any("\ufffd" in delta for delta in deltas)
    assert any(not character.isascii() for character in "".join(deltas))


def test_the_same_seed_samples_the_same_answer(ask):
    options = {"temperature": 1.0, "seed": 7, "extra_headers": {"cache-control": "no-store"}}
    assert ask("Invent a name.", **options).text == ask("Invent a name.", **options).text


def test_models_are_listed(client):
    assert {model.id for model in client.models.list()} == {"smollm2", "mock", "all-minilm-l6-v2"}
    assert client.models.retrieve("smollm2").object == "model"


def test_a_third_request_reuses_the_blocks_of_system_prompt_and_documents(ask, system):
    system = {"role": "system", "content": system["content"] + " Answer from the documents and nothing else." * 12}
    documents = [{"id": "river", "text": "The Perfume River flows through Hue. " * 8},
                 {"id": "bridge", "text": "The Truong Tien bridge was built in 1899. " * 8}]

    def with_documents(question):
        messages = [system, {"role": "user", "content": question}]
        return ask(question, messages=messages, extra_body={"documents": documents})

    first = with_documents("Which river flows through the city?")
    other = with_documents("When was the bridge built, and what is its name?")
    third = with_documents("Summarise everything in five words.")
    # The template's first words are those of every request.
    assert first.body.usage.prompt_tokens_details.cached_tokens < 32
    for reply in (other, third):
        assert reply.cache == "miss"
        cached = reply.body.usage.prompt_tokens_details.cached_tokens
        # All but the question and less than one block of 16 tokens.
        assert cached >= reply.body.usage.prompt_tokens - 48
        prefix = reply.body.model_extra["kvasir"]["prefix"]
        assert prefix["reused_tokens"] == cached and prefix["exactness"] == "exact"
        assert prefix["reused_tokens"] + prefix["repaired_tokens"] + prefix["computed_tokens"] == reply.body.usage.prompt_tokens


def test_a_reused_prefix_does_not_change_the_answer(ask):
    options = {"extra_headers": {"cache-control": "no-store"}, "logprobs": True, "top_logprobs": 2}
    cold = ask("Name three fruits.", **options, extra_body={"prompt_cache": False})
    ask("Name three fruits.", **options)
    warm = ask("Name three fruits.", **options)
    assert cold.body.usage.prompt_tokens_details.cached_tokens == 0
    assert warm.body.usage.prompt_tokens_details.cached_tokens > 0
    assert warm.body.choices[0].logprobs == cold.body.choices[0].logprobs


def test_the_callers_request_id_comes_back(gateway):
    response = gateway.post({"model": "smollm2", "messages": [QUESTION], "max_tokens": 1}, headers={"x-request-id": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"
