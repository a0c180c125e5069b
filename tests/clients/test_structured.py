"""Answers inside a JSON schema, from the model in process: checked with a validator that is not ours."""

import json
import random

import jsonschema
import openai
import pydantic
import pytest

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "born": {"type": "string", "format": "date"},
        "colours": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "minItems": 1, "maxItems": 3},
        "height": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 2.5},
    },
    "required": ["name", "age", "born", "colours", "height"],
    "additionalProperties": False,
}


def json_schema(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def valid(text, schema):
    document = json.loads(text)
    jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())
    return document


@pytest.mark.parametrize("temperature", [0, 1, 2])
def test_an_answer_fits_its_schema_at_any_temperature(ask, temperature):
    for seed in range(4):
        reply = ask("Invent a person.", temperature=temperature, seed=seed, max_tokens=300, response_format=json_schema(PERSON))
        document = valid(reply.text, PERSON)
        assert list(document) == list(PERSON["properties"])
        assert reply.body.choices[0].finish_reason == "stop"


def test_a_stream_is_the_same_document(client, system):
    chunks = client.chat.completions.create(
        model="smollm2", messages=[system, {"role": "user", "content": "Invent a person."}], temperature=0, max_tokens=300,
        response_format=json_schema(PERSON), stream=True)
    valid("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), PERSON)


def test_pydantic_models_are_parsed_by_the_sdk(client, system):
    class Step(pydantic.BaseModel):
        explanation: str = pydantic.Field(max_length=40)
        result: int

    class Answer(pydantic.BaseModel):
        steps: list[Step] = pydantic.Field(max_length=2)
        done: bool

    completion = client.chat.completions.parse(
        model="smollm2", messages=[system, {"role": "user", "content": "What is 17 * 3?"}], temperature=0, max_tokens=400,
        response_format=Answer)
    assert isinstance(completion.choices[0].message.parsed, Answer)


def test_json_object_is_any_object(ask):
    reply = ask("Write a JSON object with one key, city, and a city's name.", max_tokens=200, response_format={"type": "json_object"})
    assert reply.text.startswith("{")
    if reply.body.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(reply.text), dict)


def test_a_cut_answer_says_so(ask):
    reply = ask("Invent a person.", max_tokens=5, response_format=json_schema(PERSON))
    assert reply.body.choices[0].finish_reason == "length"


def test_a_structured_answer_is_cached_for_its_format_only(ask):
    one = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"], "additionalProperties": False}
    two = {**one, "properties": {"a": {"const": 2}}}
    assert ask("A question about formats.", response_format=json_schema(one)).cache == "miss"
    assert ask("A question about formats.", response_format=json_schema(two)).text == '{"a": 2}'
    again = ask("A question about formats.", response_format=json_schema(one))
    assert (again.cache, json.loads(again.text)) == ("exact", {"a": 1})
    assert ask("A question about formats.").text != again.text


@pytest.mark.parametrize("schema, words", [
    ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "#/uniqueItems"),
    ({"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}, "#/properties/a/pattern"),
    ({"$ref": "#/$defs/none"}, "#/$ref"),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "no JSON value"),
])
@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_cannot_be_kept_is_refused_by_name(ask, schema, words, stream):
    with pytest.raises(openai.BadRequestError) as refused:
        ask("Anything.", response_format=json_schema(schema), stream=stream)
    assert refused.value.param == "response_format" and words in refused.value.message


class Schemas:
    """Random schemas of everything that is understood, shallow enough to be answered."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def make(self, depth=2):
        kinds = [self.string, self.integer, self.number, self.enum, self.literal]
        if depth > 0:
            kinds += [self.object, self.object, self.array, self.any_of]
        return self.random.choice(kinds)(depth)

    def string(self, _):
        return {"type": "string", **self.random.choice([
            {"maxLength": 9}, {"minLength": 2, "maxLength": 4}, {"pattern": "^[A-Z][a-z]{1,5}( [0-9]+\\.)?$"}, {"pattern": "^(yes|no)$"},
            {"format": "date"}, {"format": "ipv4"}, {"format": "uuid"}, {"pattern": "^\\w+$", "maxLength": 6}])}

    def integer(self, _):
        low = self.random.randint(-2000, 2000)
        return {"type": "integer", **self.random.choice([
            {}, {"minimum": low}, {"maximum": low}, {"minimum": low, "maximum": low + self.random.randint(0, 999)},
            {"exclusiveMinimum": low, "multipleOf": self.random.randint(1, 60)}])}

    def number(self, _):
        low = round(self.random.uniform(-3, 3), self.random.randint(0, 3))
        return {"type": "number", **self.random.choice([
            {"minimum": low}, {"exclusiveMaximum": low}, {"minimum": low, "exclusiveMaximum": round(low + 0.37, 3)}])}

    def enum(self, _):
        return {"enum": self.random.sample(["a", "ab", 'say "x"', "é", 1, 2.5, None, True, "\n"], 3)}

    def literal(self, _):
        return self.random.choice([{"const": "fixed"}, {"type": "null"}, {"type": "boolean"}])

    def object(self, depth):
        names = self.random.sample(["a", "b", "long name", "ü", 'q"'], self.random.randint(0, 4))
        required = [name for name in names if self.random.random() < 0.6]
        extra = self.random.choice([{}, {"additionalProperties": False}])
        return {"type": "object", "properties": {name: self.make(depth - 1) for name in names}, "required": required, **extra}

    def array(self, depth):
        low = self.random.randint(0, 2)
        prefix = {"prefixItems": [self.make(0), self.make(0)]} if self.random.random() < 0.3 else {}
        return {"type": "array", "items": self.make(depth - 1), "minItems": low, "maxItems": low + self.random.randint(0, 2), **prefix}

    def any_of(self, depth):
        return {"anyOf": [self.make(depth - 1), self.make(depth - 1)]}


@pytest.mark.parametrize("seed", range(60))
def test_random_schemas_get_valid_answers(client, seed):
    schema = Schemas(seed).make()
    completion = client.chat.completions.create(
        model="smollm2", messages=[{"role": "user", "content": "Go."}], temperature=2, seed=seed, max_tokens=500,
        response_format=json_schema(schema), extra_headers={"cache-control": "no-store"})
    choice = completion.choices[0]
    assert choice.finish_reason == "stop", (schema, choice.message.content)
    valid(choice.message.content, schema)
