"""Several choices of one request, by the model in process."""

import asyncio
import json

import openai
import pytest

NO_STORE = {"cache-control": "no-store"}


def test_every_choice_is_an_answer_of_its_own_and_the_prompt_counts_once(client, system):
    messages = [system, {"role": "user", "content": "Invent a name for a river."}]
    request = {"model": "smollm2", "messages": messages, "max_tokens": 8, "temperature": 1.0, "extra_headers": NO_STORE}
    one = client.chat.completions.create(**request)
    four = client.chat.completions.create(n=4, seed=11, **request)
    assert [choice.index for choice in four.choices] == [0, 1, 2, 3]
    assert len({choice.message.content for choice in four.choices}) > 1
    assert four.usage.prompt_tokens == one.usage.prompt_tokens
    assert 4 <= four.usage.completion_tokens <= 32
    assert all(choice.finish_reason in ("stop", "length") for choice in four.choices)


def test_a_seed_gives_the_same_choices_again_and_its_first_is_that_of_a_single_one(client, system):
    messages = [system, {"role": "user", "content": "Invent a word."}]
    request = {"model": "smollm2", "messages": messages, "max_tokens": 6, "seed": 5, "extra_headers": NO_STORE}

    def texts(n):
        return [choice.message.content for choice in client.chat.completions.create(n=n, **request).choices]

    three = texts(3)
    assert texts(3) == three
    assert texts(1) == three[:1]


def test_every_choice_keeps_to_the_format(client, system):
    schema = {"type": "object", "properties": {"river": {"type": "string", "maxLength": 12}}, "required": ["river"],
              "additionalProperties": False}
    answer = client.chat.completions.create(
        model="smollm2", messages=[system, {"role": "user", "content": "Invent a name for a river."}], n=3, temperature=1.5,
        response_format={"type": "json_schema", "json_schema": {"name": "river", "schema": schema}}, extra_headers=NO_STORE)
    for choice in answer.choices:
        assert choice.finish_reason == "stop" and set(json.loads(choice.message.content)) == {"river"}


def test_a_stream_has_a_role_and_a_finish_chunk_for_every_choice(client, system):
    messages = [system, {"role": "user", "content": "Invent a name for a mountain."}]
    stream = client.chat.completions.create(
        model="smollm2", messages=messages, n=3, max_tokens=8, stream=True, stream_options={"include_usage": True},
        extra_headers=NO_STORE)
    roles, finishes, texts, usage = [], [], {}, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            if choice.delta.role:
                roles.append(choice.index)
            if choice.finish_reason:
                finishes.append(choice.index)
            elif choice.delta.content:
                assert choice.index in roles and choice.index not in finishes
                texts[choice.index] = texts.get(choice.index, "") + choice.delta.content
    assert sorted(roles) == sorted(finishes) == [0, 1, 2]
    assert set(texts) == {0, 1, 2}
    assert 3 <= usage.completion_tokens <= 24


def test_several_choices_are_served_again_as_they_were(ask):
    first = ask("Invent a name for a lake.", n=2, temperature=0)
    again = ask("Invent a name for a lake.", n=2, temperature=0)
    assert (first.cache, again.cache) == ("miss", "exact")
    assert [choice.message.content for choice in again.body.choices] == [choice.message.content for choice in first.body.choices]
    assert ask("Invent a name for a lake.", temperature=0).cache == "miss"


def test_too_many_choices_are_refused(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "Hi"}], n=129)
    assert error.value.param == "n"


def test_choices_arrive_through_the_async_client(gateway):
    async def run():
        async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
            stream = await client.chat.completions.create(
                model="smollm2", messages=[{"role": "user", "content": "Name a fruit."}], n=2, max_tokens=4, stream=True)
            return {choice.index async for chunk in stream for choice in chunk.choices}

    assert asyncio.run(run()) == {0, 1}
