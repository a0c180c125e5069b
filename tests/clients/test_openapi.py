"""The description at /openapi.json is true: schemathesis asks what it allows, and what it does not."""

import copy
import json

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from gateway_process import ROOT, engine_model, upstream_model

DESCRIPTION = json.loads((ROOT / "gateway/openapi.json").read_text())

# Bounded: the model has little room for answers, and few choices are asked for at once.
schemathesis.checks.load_all_checks()
ANSWERS = [schemathesis.checks.CHECKS.get_one(name) for name in (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection")]


@pytest.fixture(scope="module")
def gateway(start_gateway):
    return start_gateway([engine_model(max_context=64)])


@pytest.fixture(scope="module")
def description(gateway):
    """As it is served."""
    return httpx.get(gateway.url + "/openapi.json").raise_for_status().json()


@pytest.fixture(scope="module")
def api(description):
    description = copy.deepcopy(description)
    del description["security"], description["components"]["securitySchemes"]  # this gateway has no keys
    schemas = description["components"]["schemas"]
    schemas["Model"] = {"enum": [None, "smollm2", "all-minilm-l6-v2"]}
    for name in ("ChatRequest", "CompletionRequest"):
        schemas[name]["properties"]["n"]["maximum"] = 3
    return schemathesis.openapi.from_dict(description)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does not fit"])
@pytest.mark.parametrize("method, path", [(method, path) for path, methods in DESCRIPTION["paths"].items() for method in methods])
def test_requests_are_answered_as_described(gateway, api, method, path, mode):
    try:
        requests = api[path][method.upper()].as_strategy(generation_mode=mode)

        @settings(max_examples=20, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))
        @given(case=requests)
        def check(case):
            case.call_and_validate(base_url=gateway.url, checks=ANSWERS, timeout=60)

        check()
    except (Unsatisfiable, ValueError) as error:
        if mode is GenerationMode.POSITIVE:
            raise
        pytest.skip(f"nothing about this request can be wrong: {error}")


def test_every_path_that_is_described_is_served_and_the_other_way_round(gateway, description):
    assert description == DESCRIPTION
    assert set(description["paths"]) == {
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/responses/{response_id}",
        "/v1/responses/{response_id}/input_items", "/v1/models", "/v1/models/{model}", "/health/live", "/health/ready"}
    for path, methods in description["paths"].items():
        url = gateway.url + path.replace("{model}", "smollm2").replace("{response_id}", "resp_0")
        for method in methods:
            reply = httpx.request(method, url)
            assert reply.status_code in (200, 400, 404), (method, path)
            assert reply.status_code != 404 or "not found" in reply.json()["error"]["message"]


def test_the_description_needs_no_key(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)],
                            auth={"keys": [{"name": "a", "tenant": "a", "sha256": "0" * 64}]})
    assert httpx.get(gateway.url + "/openapi.json").json()["openapi"].startswith("3.1")
    assert httpx.get(gateway.url + "/v1/models").status_code == 401
