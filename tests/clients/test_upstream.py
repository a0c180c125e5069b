"""The cache in front of another OpenAI-compatible server."""

import httpx
import openai
import pytest

from gateway_process import free_port, upstream_model


@pytest.fixture(scope="module")
def gateway(start_gateway, upstream):
    models = [upstream_model(upstream.url), upstream_model(upstream.url, "hasty", timeout="1s"),
              upstream_model(f"http://127.0.0.1:{free_port()}/v1", "absent")]
    return start_gateway(models)


def stream_text(client, question, model="mock"):
    chunks = client.chat.completions.create(
        model=model, temperature=0, messages=[{"role": "user", "content": question}], stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def failure(ask, question, model="mock"):
    with pytest.raises(openai.APIStatusError) as error:
        ask(question, model=model)
    return error.value


def test_a_plain_answer_passes_and_is_cached(ask, upstream):
    first, second = ask("pass", model="mock"), ask("pass", model="mock")
    assert first.text == second.text == "Answer to: pass"
    assert (first.cache, second.cache) == ("miss", "exact")
    assert upstream.asked("pass") == 1


def test_a_stream_passes_and_is_cached(client, upstream):
    assert stream_text(client, "flow along") == stream_text(client, "flow along") == "Answer to: flow along"
    assert upstream.asked("flow along") == 1


def test_characters_that_arrive_byte_by_byte_leave_whole(client):
    assert stream_text(client, "bytes") == "😀Việt你好"


@pytest.mark.parametrize("upstream_status, status", [(500, 500), (503, 503), (401, 502), (403, 502), (429, 429)])
def test_errors_pass_or_become_ours_and_are_never_cached(ask, upstream, upstream_status, status):
    order = f"status {upstream_status}"
    for _ in range(2):
        error = failure(ask, order)
        assert error.status_code == status
        assert set(error.response.json()["error"]) == {"message", "type", "param", "code"}
    assert upstream.asked(order) == 2
    if upstream_status in (429, 503):
        assert error.response.headers["retry-after"] == "7"
    if upstream_status in (401, 403):
        assert error.code == "upstream_auth"


@pytest.mark.parametrize("order", ["html", "half"])
def test_an_answer_that_is_none_is_a_bad_gateway(ask, order):
    assert failure(ask, order).status_code == 502


def test_an_upstream_that_is_not_there_is_a_bad_gateway(ask):
    assert failure(ask, "anyone?", model="absent").status_code == 502


def test_an_upstream_that_is_too_slow_is_a_gateway_timeout(ask):
    assert failure(ask, "slow answer", model="hasty").status_code == 504


def test_fifty_errors_do_not_eject_the_only_upstream(ask):
    for number in range(50):
        failure(ask, f"status 500 {number}")
    assert ask("still there?", model="mock").text == "Answer to: still there?"


@pytest.mark.parametrize("order", ["cut in two", "unfinished business"])
def test_a_stream_that_breaks_says_so_and_is_not_cached(gateway, upstream, order):
    body = {"model": "mock", "temperature": 0, "stream": True, "messages": [{"role": "user", "content": order}]}
    for _ in range(2):
        received = b""
        upstream.may_break.clear()
        with pytest.raises(httpx.TransportError):  # an abortive close
            with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=body, timeout=30) as response:
                for piece in response.iter_raw():
                    received += piece
                    upstream.may_break.set()
        assert b'"error"' in received and b"[DONE]" not in received
    assert upstream.asked(order) == 2


def test_a_client_that_hangs_up_cancels_its_work(gateway, upstream):
    upstream.hung_up.clear()
    body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": "endless"}]}
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=body, timeout=30) as response:
        next(response.iter_raw())
    assert upstream.hung_up.wait(10)
