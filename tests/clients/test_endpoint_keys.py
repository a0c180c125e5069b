"""Keys hold on every endpoint as they do for a chat: models, limits, budgets, refunds, and what metrics and log say."""

import re

import httpx
import openai
import pytest

from gateway_process import MINILM, key_entry, upstream_model

PRICE = {"input": 1000, "cached_input": 500, "output": 2000}
EMBEDDER = MINILM.name

# What the mock counts of an answer, and the tokens that a request for `tokens` of them reserves besides its bytes.
ENDPOINTS = {
    "/v1/chat/completions": lambda text, tokens: {"messages": [{"role": "user", "content": text}], "max_tokens": tokens},
    "/v1/completions": lambda text, tokens: {"prompt": text, "max_tokens": tokens},
    "/v1/responses": lambda text, tokens: {"input": text, "max_output_tokens": tokens},
    "/v1/embeddings": lambda text, tokens: {"input": text, "user": "x" * 4 * tokens},
}
USAGE = {"/v1/chat/completions": (5, 7), "/v1/completions": (2, 3), "/v1/responses": (5, 7), "/v1/embeddings": (3, 0)}
every_endpoint = pytest.mark.parametrize("path", ENDPOINTS)
every_stream = pytest.mark.parametrize("path", [path for path in ENDPOINTS if path != "/v1/embeddings"])


def name_of(kind, path):
    return kind + path.replace("/", "-")


@pytest.fixture(scope="module")
def gateway(start_gateway, upstream):
    kinds = {
        "narrow": {"models": ["mock"]},
        "counted": {"requests_per_minute": 1000, "tokens_per_minute": 100_000},
        "few-requests": {"requests_per_minute": 2},
        "few-tokens": {"tokens_per_minute": 100},
        "poor": {"budget_usd_per_day": 0.0001},
        "failing": {"budget_usd_per_day": 0.0001, "requests_per_minute": 3, "tokens_per_minute": 1000},
        "streaming": {"budget_usd_per_day": 0.0001},
        "seen": {},
    }
    keys = [key_entry(name_of(kind, path), **limits) for kind, limits in kinds.items() for path in ENDPOINTS]
    keys += [key_entry("embeds", models=[EMBEDDER], tokens_per_minute=60), key_entry("chats", models=["mock"])]
    models = [upstream_model(upstream.url) | {"price": PRICE}, upstream_model(upstream.url, name="other")]
    return start_gateway(models, auth={"keys": keys}, cache={"semantic": {"enabled": False}})


@pytest.fixture
def post(gateway, path):
    def post(kind, text, tokens=16, **more):
        key = {"authorization": f"Bearer {name_of(kind, path)}"}
        return gateway.post({"model": "mock", **ENDPOINTS[path](text, tokens), **more}, path=path, headers=key)

    return post


def refused_with(response, status, code):
    assert response.status_code == status, response.text
    assert response.json()["error"]["code"] == code
    return response


@every_endpoint
def test_models_that_a_key_may_not_use_do_not_exist(post, upstream, path):
    text = f"not for {path}"
    refused_with(post("narrow", text, model="other"), 404, "model_not_found")
    assert upstream.asked(text) == 0
    assert post("narrow", text).status_code == 200


@every_endpoint
def test_no_key_is_no_answer(gateway, path):
    assert httpx.post(gateway.url + path, json={}).status_code == 401


def test_the_embedder_is_a_model_that_a_key_may_use_or_not(gateway):
    embeds, chats = gateway.client("embeds"), gateway.client("chats")
    assert [model.id for model in embeds.models.list()] == [EMBEDDER]
    assert [model.id for model in chats.models.list()] == ["mock"]
    assert embeds.embeddings.create(model=EMBEDDER, input="Hi").usage.prompt_tokens == 3
    for refuse in (lambda: chats.embeddings.create(model=EMBEDDER, input="Hi"), lambda: chats.models.retrieve(EMBEDDER),
                   lambda: embeds.embeddings.create(model="mock", input="Hi")):
        with pytest.raises(openai.NotFoundError) as error:
            refuse()
        assert error.value.code == "model_not_found"


def test_the_embedder_takes_tokens_and_no_money(gateway):
    key = {"authorization": "Bearer embeds"}
    answered = gateway.post({"input": "Hello world", "encoding_format": "float"}, path="/v1/embeddings", headers=key)
    assert answered.status_code == 200 and answered.headers["x-ratelimit-limit-tokens"] == "60"
    too_many = gateway.post({"input": ["many words of a text"] * 10}, path="/v1/embeddings", headers=key)
    refused_with(too_many, 429, "rate_limit_exceeded")


@every_endpoint
def test_limits_are_told(post, path):
    headers = post("counted", f"how much is left of {path}?").headers
    assert headers["x-ratelimit-limit-requests"] == "1000" and headers["x-ratelimit-remaining-requests"] == "999"
    assert 99_000 < int(headers["x-ratelimit-remaining-tokens"]) < 100_000


@every_endpoint
def test_requests_a_minute_end_in_429(post, path):
    assert [post("few-requests", f"{i} of {path}").status_code for i in range(2)] == [200, 200]
    refused = refused_with(post("few-requests", f"2 of {path}"), 429, "rate_limit_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 60


@every_endpoint
def test_tokens_are_reserved_before_work_starts(post, upstream, path):
    text = f"too large for what is left of {path}"
    assert post("few-tokens", f"small for {path}", 1).status_code == 200
    refused_with(post("few-tokens", text, 99), 429, "rate_limit_exceeded")
    assert upstream.asked(text) == 0


@every_endpoint
def test_a_budget_ends_in_insufficient_quota(post, upstream, path):
    text = f"no money for {path}"
    assert post("poor", f"first of {path}").status_code == 200
    refused_with(post("poor", text), 429, "insufficient_quota")
    assert upstream.asked(text) == 0


@every_endpoint
def test_what_fails_upstream_costs_nothing(post, path):
    for _ in range(5):  # more often than there are requests a minute
        assert post("failing", f"status 500 for {path}", 150).status_code == 500
    assert post("failing", f"and now it works for {path}").status_code == 200
    refused_with(post("failing", f"but that was all for {path}"), 429, "insufficient_quota")


@every_stream
def test_streams_pay_as_well(post, path):
    assert post("streaming", f"streamed by {path}", stream=True).headers["content-type"].startswith("text/event-stream")
    refused_with(post("streaming", f"streamed again by {path}", stream=True), 429, "insufficient_quota")


def test_completions_of_an_upstream_are_not_cached_and_say_why(gateway):
    key = {"authorization": "Bearer " + name_of("seen", "/v1/chat/completions"), "cache-control": "only-if-cached"}
    body = {"model": "mock", "prompt": "never asked"}
    refused_with(gateway.post(body, path="/v1/completions", headers=key), 504, "not_cached")


def test_metrics_and_log_tell_of_every_endpoint(gateway, upstream):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    for path in ENDPOINTS:
        key = {"authorization": "Bearer " + name_of("seen", path), "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        body = {"model": "mock", **ENDPOINTS[path](f"what does {path} cost?", 16)}
        assert gateway.post(body, path=path, headers=key | {"cache-control": "no-store"}).status_code == 200
        assert upstream.requests[-1]["traceparent"].startswith(f"00-{trace}-")
    metrics = gateway.admin("GET", "/metrics").text
    assert re.search(r'cost_per_request_usd_count\{model="mock"\} \d+', metrics)
    assert re.search(r'kvasir_cache_reasons_total\{reason="endpoint"\} \d+', metrics)
    gateway.stop()
    lines = {line["key"]: line for line in gateway.requests_logged() if line["status"] == 200}
    for path, (prompt, completion) in USAGE.items():
        tenant = name_of("seen", path)
        cost = round(prompt * 0.001 + completion * 0.002, 6)
        line = lines[tenant]
        assert f'kvasir_tenant_cost_usd_total{{tenant="{tenant}"}} {cost}\n' in metrics
        assert f'kvasir_tenant_prompt_tokens_total{{tenant="{tenant}"}} {prompt}\n' in metrics
        assert (line["model"], line["prompt_tokens"], line["completion_tokens"]) == ("mock", prompt, completion)
        assert line["cost_usd"] == cost and line["stop_reason"] == "stop" and line["upstream"].startswith("127.0.0.1:")
        assert line["trace_id"] == trace and line["total_ms"] >= line["first_byte_ms"] > 0
    assert lines[name_of("seen", "/v1/completions")]["reason"] == "endpoint"
    gateway.start()
