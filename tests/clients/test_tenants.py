"""Keys: who may ask, how often, and that tenants never see each other's answers."""

import httpx
import openai
import pytest

from gateway_process import digest, upstream_model

KEYS = {"a": "key-of-team-a", "b": "key-of-team-b", "limited": "key-with-a-limit"}


def entry(tenant, **limits):
    return {"name": tenant, "tenant": tenant, "sha256": digest(KEYS[tenant]), **limits}


@pytest.fixture(scope="module")
def gateway(start_gateway, upstream):
    keys = [entry("a"), entry("b"), entry("limited", requests_per_minute=3)]
    return start_gateway([upstream_model(upstream.url, api_key="upstream-secret")], auth={"keys": keys})


@pytest.fixture
def clients(gateway):
    return {tenant: gateway.client(key) for tenant, key in KEYS.items()}


def test_tenants_never_share_an_answer(ask, clients, upstream):
    question = "a question of both tenants"
    caches = [ask(question, client=clients[tenant], model="mock").cache for tenant in ("a", "b", "a", "b")]
    assert caches == ["miss", "miss", "exact", "exact"]
    assert upstream.asked(question) == 2


def test_tenants_never_share_a_paraphrase(ask, clients):
    ask("What is the capital of France?", client=clients["a"], model="mock")
    assert ask("What's the capital of France?", client=clients["b"], model="mock").cache == "miss"
    assert ask("What's the capital of France?", client=clients["a"], model="mock").cache == "semantic"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic a2V5"}])
def test_a_missing_or_wrong_key_is_refused(gateway, headers):
    response = gateway.post({"model": "mock", "messages": [{"role": "user", "content": "let me in"}]}, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_the_callers_key_does_not_reach_the_upstream(ask, clients, upstream):
    ask("who am I?", client=clients["a"], model="mock")
    sent = [request["authorization"] for request in upstream.received("who am I?")]
    assert sent == ["Bearer upstream-secret"]


def test_too_many_requests_are_told_when_to_come_back(ask, clients):
    for number in range(3):
        ask(f"limited {number}", client=clients["limited"], model="mock")
    with pytest.raises(openai.RateLimitError) as refused:
        ask("limited 4", client=clients["limited"], model="mock")
    assert int(refused.value.response.headers["retry-after"]) >= 1


def test_health_needs_no_key(gateway):
    assert httpx.get(gateway.url + "/health/live").status_code == 200
