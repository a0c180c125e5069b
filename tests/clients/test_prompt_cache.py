"""What a request may say about the KV of its prompt, of a model in process."""

import re

import httpx
import openai
import pytest

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
