"""Bad input gets a 4xx with OpenAI's four keys, and `param` where there is one."""

import openai
import pytest

from gateway_process import engine_model

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def gateway(start_gateway):
    return start_gateway([engine_model()], server={"max_body_bytes": 1 << 20})


def error_of(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


@pytest.mark.parametrize("fields, param", [
    ({"messages": None}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"),
    ({"messages": [{"content": "hello"}]}, "messages[0].role"),
    ({"messages": [{"role": "wizard", "content": "hello"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 9}, "temperature"),
    ({"top_p": 2}, "top_p"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"stream": "yes"}, "stream"),
    ({"stop": 5}, "stop"),
    ({"seed": "x"}, "seed"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"documents": "text"}, "documents"),
    ({"model": 5}, "model"),
])
def test_a_bad_field_is_named(gateway, fields, param):
    body = {"model": "smollm2", "messages": HELLO, **fields}
    error = error_of(gateway.post({key: value for key, value in body.items() if value is not None}), 400)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b'"text"', b'{"messages": [}', b'{"model": "smollm2"} trailing', b"\xff\xfe{}",
    b'{"messages": [{"role": "user", "content": "\xc3\x28"}]}',
    b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}",
])
def test_what_is_not_json_of_an_object_in_utf_8_is_refused(gateway, body):
    assert error_of(gateway.post(body), 400)["type"] == "invalid_request_error"


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert error.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_longer_than_the_context_is_refused_before_any_byte_of_a_stream(gateway, stream):
    messages = [{"role": "user", "content": "word " * 12000}]
    error = error_of(gateway.post({"model": "smollm2", "messages": messages, "stream": stream}), 400)
    assert error["code"] == "context_length_exceeded" and error["param"] == "messages"


def test_a_body_or_headers_that_are_too_large_are_refused(gateway):
    error_of(gateway.post(b'{"model": "' + b"x" * (2 << 20) + b'"}'), 413)
    error_of(gateway.post({"messages": HELLO}, headers={"x-large": "x" * (1 << 20)}), 431)


def test_an_unknown_path_and_a_wrong_method_are_errors_of_the_same_shape(gateway):
    error_of(gateway.post({}, path="/v1/nothing"), 404)
    error_of(gateway.post({}, path="/v1/models"), 405)


def test_the_gateway_still_answers_after_all_that(client):
    assert client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=2).choices
