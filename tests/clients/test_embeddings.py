"""Embeddings by the embedder in process, and passed through from an upstream."""

import asyncio
import base64
import math
import struct

import openai
import pytest

MODEL = "all-minilm-l6-v2"


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def vectors(response):
    return [item.embedding for item in response.data]


def test_a_text_becomes_a_unit_vector_with_exact_usage(client):
    response = client.embeddings.create(model=MODEL, input="Hello world")
    assert response.object == "list" and response.model == MODEL
    assert [item.index for item in response.data] == [0] and response.data[0].object == "embedding"
    assert len(vectors(response)[0]) == 384
    assert math.isclose(sum(x * x for x in vectors(response)[0]), 1.0, abs_tol=1e-4)
    assert response.usage.prompt_tokens == response.usage.total_tokens == 4  # [CLS] hello world [SEP]


def test_texts_keep_their_order_and_do_not_depend_on_each_other(client):
    texts = ["A cat sits on the mat.", "Stock prices fell.", "A kitten lies on the rug."] + [f"Text {i}." for i in range(60)]
    together = vectors(client.embeddings.create(model=MODEL, input=texts))
    for i in (0, 1, 62):
        assert together[i] == vectors(client.embeddings.create(model=MODEL, input=texts[i]))[0]
    assert cosine(together[0], together[2]) > 0.5 > cosine(together[0], together[1])


def test_base64_is_little_endian_float32_of_the_same_numbers(gateway):
    def ask(encoding):
        body = {"model": MODEL, "input": ["Hello", "world"], "encoding_format": encoding}
        return [item["embedding"] for item in gateway.post(body, path="/v1/embeddings").json()["data"]]

    for text, floats in zip(ask("base64"), ask("float")):
        assert base64.b64decode(text) == struct.pack("<384f", *floats)


def test_tokens_are_an_input_as_well_with_the_marks_or_without(client):
    text = vectors(client.embeddings.create(model=MODEL, input="hello world"))[0]
    bare, marked = [7592, 2088], [101, 7592, 2088, 102]
    assert vectors(client.embeddings.create(model=MODEL, input=bare))[0] == text
    assert vectors(client.embeddings.create(model=MODEL, input=[bare, marked])) == [text, text]
    assert client.embeddings.create(model=MODEL, input=[bare, marked]).usage.prompt_tokens == 8


def test_the_model_s_own_number_of_dimensions_may_be_asked_for(client):
    assert len(vectors(client.embeddings.create(model=MODEL, input="Hi", dimensions=384))[0]) == 384


@pytest.mark.parametrize("fields, param", [
    ({"input": None}, "input"),
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": ["a", ""]}, "input"),
    ({"input": [[]]}, "input"),
    ({"input": ["a", [1]]}, "input"),
    ({"input": 5}, "input"),
    ({"input": [1.5]}, "input[0]"),
    ({"input": [1, "a"]}, "input[1]"),
    ({"input": [40_000]}, "input"),
    ({"input": ["a"] * 2049}, "input"),
    ({"input": "word " * 300}, "input"),
    ({"dimensions": 128}, "dimensions"),
    ({"dimensions": "many"}, "dimensions"),
    ({"encoding_format": "hex"}, "encoding_format"),
    ({"user": 5}, "user"),
    ({"model": "smollm2"}, "model"),
])
def test_what_does_not_fit_is_refused_by_name(gateway, fields, param):
    response = gateway.post({"model": MODEL, "input": "Hi", **fields}, path="/v1/embeddings")
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["param"] == param
    assert response.headers["x-request-id"]


def test_an_input_that_fits_exactly_is_served(client):
    assert client.embeddings.create(model=MODEL, input="word " * 254).usage.prompt_tokens == 256


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.embeddings.create(model="gpt-9", input="Hi")
    assert error.value.code == "model_not_found"


def test_the_embedder_is_among_the_models_and_does_not_chat(client):
    assert MODEL in {model.id for model in client.models.list()}
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}])


def test_an_upstream_s_answer_passes_as_it_came(gateway):
    response = gateway.post({"model": "mock", "input": "Hi", "theirs": 1}, path="/v1/embeddings")
    assert response.json()["data"] == [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5], "theirs": True}]
    assert response.headers["x-request-id"]


def test_many_clients_are_served_at_once(gateway):
    async def run():
        async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
            jobs = [client.embeddings.create(model=MODEL, input=[f"text {i}", "the same"]) for i in range(16)]
            return await asyncio.gather(*jobs)

    replies = asyncio.run(run())
    assert len({tuple(vectors(reply)[1]) for reply in replies}) == 1
