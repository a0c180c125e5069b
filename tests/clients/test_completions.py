"""Legacy completions: the model in process continues a text, an upstream's answer passes."""

import json

import httpx
import openai
import pytest


@pytest.fixture
def complete(client):
    def complete(prompt="The capital of France is", *, model="smollm2", **options):
        options.setdefault("temperature", 0)
        options.setdefault("max_tokens", 8)
        return client.completions.create(model=model, prompt=prompt, **options)

    return complete


def test_a_text_is_continued_with_usage(complete):
    answer = complete()
    assert "Paris" in answer.choices[0].text
    assert answer.object == "text_completion" and answer.id.startswith("cmpl-") and answer.model == "smollm2"
    assert answer.choices[0].finish_reason == "length" and answer.choices[0].logprobs is None
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_sixteen_tokens_are_the_default(client):
    answer = client.completions.create(model="smollm2", prompt="One two three four", temperature=0)
    assert answer.usage.completion_tokens <= 16 and answer.choices[0].finish_reason in ("length", "stop")


def test_prompts_and_choices_are_numbered_one_after_the_other(complete):
    alone = [complete(prompt).choices[0].text for prompt in ("Red, green and", "Monday, Tuesday and")]
    both = complete(["Red, green and", "Monday, Tuesday and"], n=2)
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in both.choices] == [alone[0], alone[0], alone[1], alone[1]]
    assert both.usage.prompt_tokens == sum(complete(prompt).usage.prompt_tokens for prompt in ("Red, green and", "Monday, Tuesday and"))


def test_tokens_are_a_prompt_as_well(complete):
    told = complete([[504, 3575, 282, 4649, 314]], echo=True, max_tokens=4).choices[0].text
    again = complete([504, 3575, 282, 4649, 314], echo=True, max_tokens=4).choices[0].text
    assert told == again and len(told) > 4


def test_the_prompt_is_repeated_where_it_is_asked_for(complete):
    plain = complete("Red, green and").choices[0].text
    assert complete("Red, green and", echo=True).choices[0].text == "Red, green and" + plain


def test_logprobs_have_the_legacy_shape(complete):
    answer = complete("Red, green and", logprobs=2, max_tokens=4)
    logprobs = answer.choices[0].logprobs
    assert "".join(logprobs.tokens) == answer.choices[0].text
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == 4
    assert logprobs.text_offset == [len("".join(logprobs.tokens[:i])) for i in range(4)]
    for token, logprob, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs):
        assert top[token] == logprob and 2 <= len(top) <= 3
        assert max(top.values()) == logprob  # greedy


@pytest.mark.parametrize("fresh", [True, False])
def test_a_stream_says_the_same_as_a_plain_answer(client, fresh):
    request = {"model": "smollm2", "prompt": f"The first month is {fresh}", "temperature": 0, "max_tokens": 8, "logprobs": 1}
    headers = {"cache-control": "no-store"} if fresh else {}
    plain = client.completions.create(**request, extra_headers=headers)
    chunks = list(client.completions.create(**request, stream=True, stream_options={"include_usage": True}, extra_headers=headers))
    assert {chunk.object for chunk in chunks} == {"text_completion"} and len({chunk.id for chunk in chunks}) == 1
    text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
    offsets = [offset for chunk in chunks for choice in chunk.choices if choice.logprobs for offset in choice.logprobs.text_offset]
    assert text == plain.choices[0].text and offsets == plain.choices[0].logprobs.text_offset
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["length"]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 8


def test_a_stop_sequence_ends_the_text(complete):
    assert "green" not in complete("Red, green, blue, red, green, blue, red,", stop="green").choices[0].text


def test_the_same_prompt_is_answered_from_the_exact_tier_only(client):
    def ask(prompt):
        raw = client.completions.with_raw_response.create(model="smollm2", prompt=prompt, temperature=0, max_tokens=4)
        return raw.headers["x-kvasir-cache"], raw.parse()

    first, again, spaced = ask("A tale of a fox"), ask("A tale of a fox"), ask("A tale of a fox ")
    assert [reply[0] for reply in (first, again, spaced)] == ["miss", "exact", "miss"]
    assert again[1].choices[0].text == first[1].choices[0].text
    assert again[1].model_extra["cached"] is True and first[1].model_extra["cached"] is False


@pytest.mark.parametrize("fields, param", [
    ({"prompt": None}, "prompt"),
    ({"prompt": []}, "prompt"),
    ({"prompt": {"a": 1}}, "prompt"),
    ({"prompt": ["a", 1]}, "prompt[1]"),
    ({"prompt": [1, "a"]}, "prompt[1]"),
    ({"prompt": [[1], []]}, "prompt"),
    ({"prompt": [10_000_000]}, "prompt"),
    ({"suffix": "end"}, "suffix"),
    ({"best_of": 3}, "best_of"),
    ({"n": 3, "best_of": 2}, "best_of"),
    ({"logprobs": 6}, "logprobs"),
    ({"logprobs": True}, "logprobs"),
    ({"echo": "yes"}, "echo"),
    ({"echo": True, "logprobs": 1}, "echo"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"temperature": 3}, "temperature"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"prompt": ["a"] * 65, "n": 2}, "prompt"),
    ({"messages": [{"role": "user", "content": "Hi"}]}, "messages"),
    ({"tools": []}, "tools"),
    ({"max_completion_tokens": 5}, "max_completion_tokens"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"stop_token_ids": [1]}, "stop_token_ids"),
])
def test_what_does_not_fit_is_refused_by_name(gateway, fields, param):
    response = gateway.post({"model": "smollm2", "prompt": "Hi", "max_tokens": 1, **fields}, path="/v1/completions")
    assert response.status_code == 400, response.text
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["param"] == param


def test_a_prompt_longer_than_the_context_is_refused(complete):
    with pytest.raises(openai.BadRequestError) as error:
        complete("word " * 12000)
    assert error.value.code == "context_length_exceeded" and error.value.param == "prompt"


def test_an_unknown_model_is_not_found(complete):
    with pytest.raises(openai.NotFoundError):
        complete(model="gpt-9")


def test_an_upstream_s_answer_passes_as_it_came(gateway, complete, upstream):
    raw = gateway.post({"model": "mock", "prompt": "tides", "suffix": "x", "theirs": 1}, path="/v1/completions")
    assert raw.json()["id"] == "cmpl-mock" and raw.json()["choices"][0]["text"] == " and tides"
    assert raw.headers["x-kvasir-cache"] == "bypass" and raw.headers["x-request-id"]
    assert upstream.requests[-1]["body"] == {"model": "mock", "prompt": "tides", "suffix": "x", "theirs": 1}
    assert raw.json()["cached"] is False
    chunks = list(complete("moon", model="mock", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == " and moon"
    assert all(chunk.model_extra["cached"] is False for chunk in chunks)


@pytest.mark.parametrize("prompt, message", [
    ("unfinished", "without a finish reason"), ("garbled", "not JSON"), ("mid-stream error", "mock gives up")])
def test_a_stream_of_an_upstream_that_is_not_whole_breaks(gateway, prompt, message):
    body = {"model": "mock", "prompt": prompt, "stream": True}
    text = ""
    with pytest.raises(httpx.HTTPError), httpx.stream("POST", gateway.url + "/v1/completions", json=body, timeout=30) as response:
        assert response.status_code == 200
        for piece in response.iter_text():
            text += piece
    assert " and" in text and "[DONE]" not in text
    error = json.loads(text.strip().splitlines()[-1].removeprefix("data: "))["error"]
    assert set(error) == {"message", "type", "param", "code"} and message in error["message"]


def test_an_upstream_s_error_passes(complete):
    with pytest.raises(openai.RateLimitError):
        complete("status 429 for completions", model="mock")


def test_a_hang_up_ends_the_work(gateway):
    body = {"model": "smollm2", "prompt": "Count: 1, 2, 3,", "n": 4, "max_tokens": 2000, "stream": True}
    with httpx.stream("POST", gateway.url + "/v1/completions", json=body, timeout=30) as response:
        next(response.iter_raw())
    running = [1]
    while running != [0]:  # the test's own limit is pytest's
        text = gateway.admin("GET", "/metrics").text
        running = [float(line.split()[-1]) for line in text.splitlines() if line.startswith("kvasir_engine_running")]
