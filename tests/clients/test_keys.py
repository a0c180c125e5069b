"""Keys: what they may use, how much of it, and for how much money."""

import datetime
import re
import threading

import httpx
import openai
import pytest

from gateway_process import MINILM, digest, upstream_model
from gateway_process import key_entry as entry

PRICE = {"input": 1000, "cached_input": 500, "output": 2000}  # the mock's 5 + 7 tokens: 5 * 0.001 + 7 * 0.002 = 0.019 USD


def body(text, **more):
    return {"model": "mock", "temperature": 0, "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture(scope="module")
def gateway(start_gateway, upstream):
    keys = [
        entry("plain"), entry("narrow", models=["mock"]),
        entry("counted", requests_per_minute=1000, tokens_per_minute=100000),
        entry("few-requests", requests_per_minute=2), entry("few-tokens", tokens_per_minute=100),
        entry("poor", budget_usd_per_day=0.02), entry("failing", budget_usd_per_day=0.001, requests_per_minute=3),
        entry("hits", tokens_per_minute=1000, budget_usd_per_day=0.019), entry("priced", budget_usd_per_day=100),
        entry("parallel", budget_usd_per_day=0.001), entry("kept", budget_usd_per_day=0.01),
        entry("leaver", tokens_per_minute=12000),
    ]
    models = [upstream_model(upstream.url) | {"price": PRICE}, upstream_model(upstream.url, name="other")]
    return start_gateway(models, auth={"keys": keys}, cache={"semantic": {"enabled": False}})


@pytest.fixture
def post(gateway):
    def post(key, text, **more):
        return gateway.post(body(text, **more), headers={"authorization": f"Bearer {key}"})

    return post


def test_a_key_sees_and_uses_only_the_models_it_may_use(gateway):
    client = gateway.client("narrow")
    assert [model.id for model in client.models.list()] == ["mock"]
    assert client.models.retrieve("mock").id == "mock"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("other")
    assert error.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(**body("not for me", ) | {"model": "other"})
    assert error.value.code == "model_not_found"
    assert [model.id for model in gateway.client("plain").models.list()] == ["mock", "other", MINILM.name]


def test_a_model_that_is_not_allowed_is_not_served_from_the_cache_either(gateway, upstream):
    ask = {"authorization": "Bearer narrow"}
    assert gateway.post(body("secret of the other") | {"model": "other"}, headers=ask).status_code == 404
    assert upstream.asked("secret of the other") == 0


def test_limits_are_told_as_openai_tells_them(post):
    headers = post("counted", "how much is left?", max_tokens=50).headers
    assert headers["x-ratelimit-limit-requests"] == "1000"
    assert headers["x-ratelimit-remaining-requests"] == "999"
    assert headers["x-ratelimit-limit-tokens"] == "100000"
    assert 99000 < int(headers["x-ratelimit-remaining-tokens"]) < 100000
    for kind in "requests", "tokens":
        assert re.fullmatch(r"(\d+m)?(\d+(\.\d+)?s)|\d+ms", headers[f"x-ratelimit-reset-{kind}"])
    assert not [name for name in post("plain", "how much is left?").headers if name.startswith("x-ratelimit")]


def test_streams_tell_the_limits_too(gateway):
    with gateway.client("counted").chat.completions.with_streaming_response.create(**body("as a stream", stream=True)) as raw:
        assert raw.headers["x-ratelimit-limit-requests"] == "1000"
        raw.read()


def test_requests_a_minute_end_in_429_with_retry_after(post):
    assert [post("few-requests", f"number {i}").status_code for i in range(2)] == [200, 200]
    refused = post("few-requests", "number 3")
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


def test_tokens_are_reserved_before_work_starts(post, upstream):
    assert post("few-tokens", "small", max_tokens=1).status_code == 200
    refused = post("few-tokens", "too large for what is left", max_tokens=99)
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    assert upstream.asked("too large for what is left") == 0


def test_a_budget_ends_in_insufficient_quota_until_midnight(post, upstream):
    assert post("poor", "first").status_code == 200
    assert post("poor", "second").status_code == 200  # 0.019 of 0.02 was spent: the last one
    refused = post("poor", "third")
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert refused.json()["error"]["type"] == "insufficient_quota"
    now = datetime.datetime.now(datetime.timezone.utc)
    midnight = (now + datetime.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert abs(int(refused.headers["retry-after"]) - (midnight - now).total_seconds()) < 60
    assert upstream.asked("third") == 0


def test_requests_at_once_cannot_overspend_together(post, upstream):
    replies = []

    def ask(i):
        replies.append(post("parallel", f"slow, all at once {i}").status_code)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [200, 429, 429, 429]


def test_what_fails_upstream_costs_nothing(post):
    for _ in range(5):  # more often than there are requests a minute
        assert post("failing", "status 500 for who pays").status_code == 500
        assert post("failing", "html").status_code == 502
    assert post("failing", "and now it works").status_code == 200
    assert post("failing", "but that was the budget").json()["error"]["code"] == "insufficient_quota"


def test_hits_cost_neither_tokens_nor_money(post):
    first = post("hits", "asked again and again", max_tokens=100)
    left = int(first.headers["x-ratelimit-remaining-tokens"])
    for _ in range(5):  # the budget is spent, and a hit needs none
        hit = post("hits", "asked again and again", max_tokens=100)
        assert hit.headers["x-kvasir-cache"] == "exact"
        assert int(hit.headers["x-ratelimit-remaining-tokens"]) >= left
    assert post("hits", "something new").json()["error"]["code"] == "insufficient_quota"


def test_money_spent_and_saved_is_in_metrics_and_log(gateway, post):
    post("priced", "what does it cost?")
    post("priced", "what does it cost?")
    metrics = gateway.admin("GET", "/metrics").text
    assert 'kvasir_tenant_cost_usd_total{tenant="priced"} 0.019\n' in metrics
    assert float(re.search(r'kvasir_cost_saved_usd_total\{tier="exact"\} (\S+)', metrics)[1]) >= 0.019
    assert re.search(r'cost_per_request_usd_sum\{model="mock"\} 0\.\d+', metrics)
    gateway.stop()
    miss, hit = [line for line in gateway.requests_logged() if line["key"] == "priced"]
    assert (miss["cost_usd"], hit["saved_usd"]) == (0.019, 0.019)
    assert "saved_usd" not in miss and "cost_usd" not in hit
    gateway.start()


def test_what_was_spent_survives_a_restart(gateway, post):
    assert post("kept", "before").status_code == 200
    gateway.stop()
    gateway.start()
    assert post("kept", "after").json()["error"]["code"] == "insufficient_quota"


def test_the_admin_listener_takes_its_own_key_and_no_other(start_gateway, upstream):
    auth = {"keys": [entry("a")], "admin": {"sha256": digest("operator")}}
    gateway = start_gateway([upstream_model(upstream.url)], auth=auth, cache={"semantic": {"enabled": False}})
    for headers in {}, {"authorization": "Bearer a"}, {"authorization": "Bearer operatox"}, {"authorization": "operator"}:
        for path in "/metrics", "/", "/admin/config":
            refused = gateway.admin("GET", path, headers=headers)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
    key = {"authorization": "Bearer operator"}
    assert gateway.admin("GET", "/metrics", headers=key).status_code == 200
    assert digest("operator") not in gateway.admin("GET", "/admin/config", headers=key).text
    # With a key it answers under any name.
    assert gateway.admin("GET", "/metrics", headers={**key, "host": "kvasir.example"}).status_code == 200
    assert httpx.get(gateway.url + "/v1/models", headers=key).status_code == 401


def test_who_leaves_pays_for_what_others_still_wait_for(gateway, post, upstream):
    text = "slow, and left by who has asked first"
    following = threading.Thread(target=lambda: post("leaver", text, max_tokens=6000))

    def lead():
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(gateway.url + "/v1/chat/completions", json=body(text, max_tokens=6000), timeout=1,
                       headers={"authorization": "Bearer leaver"})

    leading = threading.Thread(target=lead)
    leading.start()
    while not upstream.asked(text):
        pass
    following.start()
    leading.join()
    following.join()
    assert upstream.asked(text) == 1
    left = int(post("leaver", "what is left?").headers["x-ratelimit-remaining-tokens"])
    assert left < 8000
