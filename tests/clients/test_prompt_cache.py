"""What a request may say about the KV of its prompt, of a model in process."""

import hashlib
import json
import re

import httpx
import openai
import pytest

from gateway_process import engine_model, key_entry

RIVERS = "Name three rivers of Asia, and say where each of them ends."
EPHEMERAL = {"type": "ephemeral"}


@pytest.fixture
def pinned_blocks(gateway):
    def count():
        values = re.findall(r"^kvasir_kv_blocks_pinned\S* (\d+)$", gateway.admin("GET", "/metrics").text, re.MULTILINE)
        return sum(map(int, values))

    return count


@pytest.fixture
def long_system(system):
    return {**system, "content": system["content"] + " Be brief, be exact, and never guess." * 10}


def refused(ask, **options):
    with pytest.raises(openai.BadRequestError) as error:
        ask(RIVERS, **options)
    return error.value


def stream(gateway, body):
    """The events' data of a streamed answer."""
    reply = httpx.post(gateway.url + "/v1/chat/completions", json={"stream": True, **body}, timeout=60)
    assert reply.status_code == 200, reply.text
    return [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]


def test_a_prompt_is_pinned_by_cache_control(ask, pinned_blocks):
    control = {"type": "ephemeral", "ttl": "1h"}
    reply = ask(RIVERS, extra_body={"cache_control": control})
    assert pinned_blocks() >= reply.body.usage.prompt_tokens // 16
    assert refused(ask, extra_body={"cache_control": {"type": "ephemeral", "ttl": "2h"}}).param == "cache_control.ttl"


@pytest.mark.parametrize("place", ["message", "part", "document"])
def test_a_prompt_is_pinned_up_to_a_breakpoint(ask, pinned_blocks, long_system, place):
    question = {"role": "user", "content": RIVERS}
    extra = {}
    if place == "message":
        messages = [{**long_system, "cache_control": EPHEMERAL}, question]
    elif place == "part":
        text = {"type": "text", "text": long_system["content"], "cache_control": EPHEMERAL}
        messages = [{"role": "system", "content": [text]}, question]
    else:
        extra = {"documents": [{"text": long_system["content"], "cache_control": "ephemeral"}]}
        messages = [{"role": "system", "content": f"Of {place}"}, question]
    before = pinned_blocks()
    reply = ask("", messages=messages, extra_body=extra)
    pinned = pinned_blocks() - before
    assert 3 <= pinned < reply.body.usage.prompt_tokens // 16


def test_a_streamed_request_pins_as_well(gateway, pinned_blocks, long_system):
    before = pinned_blocks()
    events = stream(gateway, {"model": "smollm2", "max_tokens": 4, "messages": [
        {**long_system, "cache_control": EPHEMERAL}, {"role": "user", "content": RIVERS}]})
    assert events[-1] == "[DONE]"
    assert pinned_blocks() - before >= 3


def test_a_breakpoint_that_does_not_fit_is_named(ask, system):
    message = {"role": "user", "content": [{"type": "text", "text": RIVERS, "cache_control": {"type": "for ever"}}]}
    assert refused(ask, messages=[system, message]).param == "messages[1].content[0].cache_control.type"
    assert refused(ask, messages=[{**system, "cache_control": 1}]).param == "messages[0].cache_control"
    documents = [{"text": "a", "cache_control": {"type": "ephemeral", "ttl": 5}}]
    assert refused(ask, extra_body={"documents": documents}).param == "documents[0].cache_control.ttl"


def test_the_prompt_of_an_answer_is_kept_by_its_id(ask, pinned_blocks, long_system):
    messages = [long_system, {"role": "user", "content": RIVERS}]
    first = ask("", messages=messages)
    before = pinned_blocks()
    second = ask("", messages=messages, extra_headers={"cache-control": "no-store"},
                 extra_body={"cached_prompt_id": first.body.id})
    assert second.text == first.text
    assert pinned_blocks() - before >= 3
    assert second.body.usage.prompt_tokens_details.cached_tokens > 64


def test_the_id_of_a_stream_names_its_prompt(gateway, ask, system):
    events = stream(gateway, {"model": "smollm2", "max_tokens": 4, "messages": [system, {"role": "user", "content": RIVERS}]})
    chunk = json.loads(events[0])
    assert ask("And of Europe?", extra_body={"cached_prompt_id": chunk["id"]}).text


@pytest.mark.parametrize("streamed", [False, True])
def test_a_prompt_that_is_not_known_is_a_404(gateway, system, streamed):
    reply = gateway.post({"model": "smollm2", "stream": streamed, "messages": [system, {"role": "user", "content": RIVERS}],
                          "cached_prompt_id": "chatcmpl-0"})
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "cached_prompt_not_found"
    assert reply.json()["error"]["param"] == "cached_prompt_id"


def test_an_answer_from_the_cache_names_no_prompt(ask):
    assert ask(RIVERS).cache == "miss"
    cached = ask(RIVERS)
    assert cached.cached
    with pytest.raises(openai.NotFoundError):
        ask(RIVERS, extra_body={"cached_prompt_id": cached.body.id})


def test_a_prompt_belongs_to_its_tenant(start_gateway):
    keys = [key_entry("a"), key_entry("b")]
    gateway = start_gateway([engine_model(kv_memory="64MiB")], auth={"keys": keys})

    def ask(key, **extra):
        return gateway.client(key).chat.completions.create(
            model="smollm2", messages=[{"role": "user", "content": RIVERS}], max_tokens=4,
            extra_headers={"cache-control": "no-store"}, extra_body=extra)

    answer = ask("a")
    assert ask("a", cached_prompt_id=answer.id)
    with pytest.raises(openai.NotFoundError):
        ask("b", cached_prompt_id=answer.id)


def test_an_upstream_never_hears_of_a_cached_prompt(ask):
    reply = ask("who are you", model="mock", extra_body={"cached_prompt_id": "chatcmpl-0", "cache_checksum": "mine"})
    assert reply.text


def test_a_system_prompt_stays_pinned_under_its_label(ask, pinned_blocks, long_system):
    def label(system, question):
        ask("", messages=[system, {"role": "user", "content": question}], extra_body={"cache_checksum": 42})
        return pinned_blocks()

    before = pinned_blocks()
    pinned = label(long_system, RIVERS)
    assert pinned - before >= 3
    assert label(long_system, "Name three mountains.") == pinned
    assert label({"role": "system", "content": "Be brief and exact, be short, and never guess what you do not know."},
                 RIVERS) < pinned


@pytest.mark.parametrize("model", ["smollm2", "mock"])
def test_a_checksum_is_compared_with_the_system_prompt(ask, system, model):
    digest = hashlib.sha256(system["content"].encode()).hexdigest()
    assert ask(RIVERS, model=model, extra_body={"cache_checksum": f"sha256:{digest}"}).text
    with pytest.raises(openai.ConflictError) as error:
        ask(RIVERS, model=model, extra_body={"cache_checksum": f"sha256:{'0' * 64}"})
    assert error.value.code == "cache_checksum_mismatch" and error.value.param == "cache_checksum"


@pytest.mark.parametrize("fields, param", [
    ({"cached_prompt_id": 7}, "cached_prompt_id"),
    ({"cache_checksum": {"a": 1}}, "cache_checksum"),
    ({"cache_checksum": [1]}, "cache_checksum"),
    ({"context_window_strategy": "middle"}, "context_window_strategy"),
    ({"context_window_strategy": True}, "context_window_strategy"),
    ({"priority_tokens": "all"}, "priority_tokens"),
    ({"priority_tokens": [[1]]}, "priority_tokens[0]"),
    ({"priority_tokens": [[0, "end"]]}, "priority_tokens[0][1]"),
])
def test_a_field_that_does_not_fit_is_named(ask, fields, param):
    assert refused(ask, extra_body=fields).param == param


@pytest.fixture(scope="module")
def small(start_gateway):
    """A model with little room: 256 tokens."""
    return start_gateway([engine_model(max_context=256)])


def conversation(system, turns):
    messages = [system]
    for number in range(turns):
        messages += [{"role": "user", "content": f"Let us talk about river number {number}, shall we?"},
                     {"role": "assistant", "content": f"River number {number} is long, and it ends in a sea."}]
    return [*messages, {"role": "user", "content": "Which river was the last one?"}]


def test_a_prompt_that_is_too_long_loses_its_oldest_turns(ask, small, system):
    messages = conversation(system, 20)
    error = refused(ask, client=small.client(), messages=messages, max_tokens=16)
    assert error.code == "context_length_exceeded"
    reply = ask("", client=small.client(), messages=messages, max_tokens=16, extra_body={"context_window_strategy": "auto"})
    truncated = reply.body.model_extra["kvasir"]["truncated"]
    assert truncated["documents"] == 0 and 0 < truncated["messages"] < 40
    assert reply.body.usage.prompt_tokens <= 240
    # The same as if the caller had left them out.
    shorter = [messages[0], *messages[1 + truncated["messages"]:]]
    assert ask("", client=small.client(), messages=shorter, max_tokens=16).text == reply.text


@pytest.mark.parametrize("streamed", [False, True])
def test_a_window_slides_over_what_is_too_long(small, system, streamed):
    body = {"model": "smollm2", "messages": conversation(system, 20), "context_window_strategy": "sliding",
            "max_tokens": 300, "logit_bias": {"2": -100}}
    if streamed:
        words = [chunk["choices"][0]["delta"].get("content", "")
                 for chunk in map(json.loads, stream(small, body)[:-1]) if chunk["choices"]]
        assert "".join(words).strip()
        return
    reply = small.post(body).json()
    assert reply["usage"]["prompt_tokens"] > 256 and reply["usage"]["completion_tokens"] == 300


def test_a_stream_tells_what_was_left_out(small, system):
    events = stream(small, {"model": "smollm2", "messages": conversation(system, 20), "max_tokens": 8,
                            "context_window_strategy": "auto"})
    told = [chunk["kvasir"]["truncated"] for chunk in map(json.loads, events[:-1]) if "kvasir" in chunk]
    assert told and told[0]["messages"] > 0


def test_a_response_is_truncated_when_it_may_be(small, system):
    def ask(truncation):
        return small.client().responses.create(model="smollm2", input=conversation(system, 20), max_output_tokens=16,
                                               truncation=truncation)

    assert ask("auto").model_extra["kvasir"]["truncated"]["messages"] > 0
    with pytest.raises(openai.BadRequestError) as error:
        ask("disabled")
    assert error.value.code == "context_length_exceeded"


def test_a_truncated_answer_is_not_cached(ask, small, system):
    auto = {"client": small.client(), "messages": conversation(system, 20), "extra_body": {"context_window_strategy": "auto"}}
    assert [ask("", **auto).cache for _ in range(2)] == ["miss", "miss"]


def test_the_last_documents_go_first(ask, small, system):
    documents = [{"text": f"Document {i} says that river number {i} is long and that it ends in a sea."} for i in range(20)]
    reply = ask("How long is river 0?", client=small.client(), max_tokens=8,
                extra_body={"documents": documents, "context_window_strategy": "auto"})
    truncated = reply.body.model_extra["kvasir"]["truncated"]
    assert truncated["messages"] == 0 and 0 < truncated["documents"] < 20


def test_what_has_priority_stays(ask, small, system):
    def dropped(**fields):
        reply = ask("", client=small.client(), messages=conversation(system, 10), max_tokens=8,
                    extra_headers={"cache-control": "no-store"}, extra_body={"context_window_strategy": "auto", **fields})
        return reply.body.model_extra["kvasir"]["truncated"]["messages"]

    assert dropped(priority_tokens=20) == dropped() == dropped(priority_tokens=[[0, 3]])
    error = refused(ask, client=small.client(), messages=conversation(system, 10), max_tokens=8,
                    extra_body={"context_window_strategy": "auto", "priority_tokens": 100_000})
    assert error.code == "context_length_exceeded"


@pytest.mark.parametrize("streamed", [False, True])
def test_what_cannot_fit_is_refused(small, system, streamed):
    reply = small.post({"model": "smollm2", "stream": streamed, "context_window_strategy": "auto",
                        "messages": [system, {"role": "user", "content": "river " * 300}]})
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "context_length_exceeded"
