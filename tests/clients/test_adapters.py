"""LoRA adapters of a model in process: as models of their own, and by name in a request."""

import os
import pathlib

import openai
import pytest

from gateway_process import key_entry

SHARED = pathlib.Path(os.environ.get("KVASIR_SHARED") or pathlib.Path(__file__).resolve().parents[3] / "shared")
TINY = SHARED / "data/engine_golden/tiny"
QUESTION = "ffmpeg converts audio and video from one format to another, and so on and so forth"


@pytest.fixture(scope="module")
def gateway(start_gateway):
    if not TINY.is_dir():
        pytest.skip(f"no golden data at {TINY}")
    engine = {
        "gguf": str(TINY / "tiny_llama_f32.gguf"),
        "kv_memory": "16MiB",
        "lora": [{"name": "style", "path": str(TINY / "tiny_llama_lora.gguf")}],
    }
    return start_gateway([{"name": "tiny", "engine": engine}])


@pytest.fixture
def client(gateway):
    return gateway.client()


def ask(client, model="tiny", lora=None, **more):
    body = {"lora": lora} if lora is not None else {}
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": QUESTION}], max_tokens=8, temperature=0, logprobs=True,
        extra_body=body, extra_headers={"cache-control": "no-store"}, **more)


def said(answer):
    choice = answer.choices[0]
    return choice.message.content, [(token.bytes, token.logprob) for token in choice.logprobs.content]


def cached(answer):
    return answer.usage.prompt_tokens_details.cached_tokens


def test_an_adapter_is_a_model_of_its_own(client):
    assert [model.id for model in client.models.list()][:2] == ["tiny", "tiny:style"]
    plain, styled = ask(client), ask(client, "tiny:style")
    assert styled.model == "tiny:style"
    assert said(plain) != said(styled)


def test_both_ways_to_name_an_adapter_say_the_same(client):
    styled = ask(client, "tiny:style")
    assert said(ask(client, lora=[{"name": "style"}])) == said(styled)
    assert said(ask(client, lora=[{"name": "style", "scale": 0}])) == said(ask(client))
    assert said(ask(client, lora=[{"name": "style", "scale": 0.5}])) != said(styled)


def test_kv_is_shared_with_the_same_adapters_only(client):
    ask(client, lora=[{"name": "style", "scale": 0.25}])
    assert cached(ask(client, lora=[{"name": "style", "scale": 0.25}])) > 0
    assert cached(ask(client, lora=[{"name": "style", "scale": 0.75}])) == 0


def test_answers_are_kept_apart(client):
    def tier(**more):
        raw = client.chat.completions.with_raw_response.create(
            model="tiny", messages=[{"role": "user", "content": QUESTION}], max_tokens=8, temperature=0, **more)
        return raw.headers["x-kvasir-cache"]

    assert tier() == "miss"
    assert tier(extra_body={"lora": [{"name": "style"}]}) == "miss"
    assert tier(extra_body={"lora": [{"name": "style"}]}) == "exact"


@pytest.mark.parametrize("lora", ["style", [{"scale": 1}], [{"name": "style", "scale": 1000}], [{"name": "other"}]])
def test_a_wrong_adapter_is_refused_by_name(client, lora):
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, lora=lora)
    assert error.value.body["param"] == "lora"


def test_a_key_takes_only_the_adapters_it_may_use(start_gateway):
    if not TINY.is_dir():
        pytest.skip(f"no golden data at {TINY}")
    keys = {"base": ["tiny"], "style": ["tiny", "tiny:style"], "adapted": ["tiny:style"]}
    adapter = str(TINY / "tiny_llama_lora.gguf")
    engine = {"gguf": str(TINY / "tiny_llama_f32.gguf"), "kv_memory": "16MiB",
              "lora": [{"name": "style", "path": adapter}, {"name": "secret", "path": adapter}]}
    entries = [key_entry(name, models=models) for name, models in keys.items()]
    gateway = start_gateway([{"name": "tiny", "engine": engine}], auth={"keys": entries})

    def refused(key, **asked):
        with pytest.raises(openai.NotFoundError) as error:
            ask(gateway.client(key), **asked)
        return error.value.body["code"], error.value.body["message"]

    style, secret = [{"name": "style"}], [{"name": "style"}, {"name": "secret", "scale": 0}]
    assert refused("base", lora=style) == ("model_not_found", "The model 'tiny:style' does not exist.")
    assert refused("style", lora=secret) == ("model_not_found", "The model 'tiny:secret' does not exist.")
    assert refused("adapted", model="tiny:style", lora=secret[1:])[1] == "The model 'tiny:secret' does not exist."
    assert said(ask(gateway.client("style"), lora=style)) == said(ask(gateway.client("adapted"), "tiny:style"))
    assert said(ask(gateway.client("base")))


def test_an_unknown_adapter_is_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as error:
        ask(client, "tiny:other")
    assert error.value.body["code"] == "model_not_found"
