"""Functions that a model in process asks its caller to run: the arguments always fit their schema."""

import json

import jsonschema
import openai
import pytest

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 20},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
TIME = {"type": "object", "properties": {"zone": {"type": "string", "pattern": "^[A-Z][a-z]{2,12}$"}}, "required": ["zone"],
        "additionalProperties": False}
SCHEMAS = {"get_weather": WEATHER, "get-time": TIME}
TOOLS = [{"type": "function", "function": {"name": name, "description": "A function.", "parameters": schema}}
         for name, schema in SCHEMAS.items()]
NAMED = {"type": "function", "function": {"name": "get-time"}}


def check(calls):
    assert calls and len({call.id for call in calls}) == len(calls)
    for call in calls:
        assert call.type == "function" and call.id.startswith("call_")
        jsonschema.validate(json.loads(call.function.arguments), SCHEMAS[call.function.name])


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_required_means_at_least_one_call_that_fits(ask, temperature):
    for seed in range(3):
        reply = ask("What is the weather in Huế?", tools=TOOLS, tool_choice="required", temperature=temperature, seed=seed,
                    max_tokens=400)
        assert (reply.cache, reply.headers["x-kvasir-cache-reason"]) == ("bypass", "tools")
        choice = reply.body.choices[0]
        if choice.finish_reason == "length":  # calls without end; what is there was cut
            continue
        assert choice.finish_reason == "tool_calls" and choice.message.content is None
        check(choice.message.tool_calls)


def test_a_named_function_is_called_once_and_ends_with_stop(ask):
    choice = ask("Tell me the weather.", tools=TOOLS, tool_choice=NAMED, temperature=0, max_tokens=200).body.choices[0]
    assert choice.finish_reason == "stop"
    assert [call.function.name for call in choice.message.tool_calls] == ["get-time"]
    check(choice.message.tool_calls)


def test_without_parallel_calls_there_is_one(ask):
    for seed in range(3):
        choice = ask("Weather and time in Huế and Paris?", tools=TOOLS, tool_choice="required", parallel_tool_calls=False, seed=seed,
                     temperature=1, max_tokens=300).body.choices[0]
        assert len(choice.message.tool_calls) == 1
        check(choice.message.tool_calls)


def test_none_answers_in_words(ask):
    choice = ask("Say hello.", tools=TOOLS, tool_choice="none", temperature=0, max_tokens=20).body.choices[0]
    assert choice.message.content and not choice.message.tool_calls


def test_automatic_is_words_or_calls_that_fit(ask):
    for seed in range(3):
        choice = ask("What time is it in Huế?", tools=TOOLS, temperature=1, seed=seed, max_tokens=200).body.choices[0]
        assert choice.message.content or choice.message.tool_calls
        if choice.message.tool_calls and choice.finish_reason != "length":
            check(choice.message.tool_calls)


def test_a_stream_brings_the_same_call(client, system):
    request = dict(model="smollm2", messages=[system, {"role": "user", "content": "Tell me the time."}], tools=TOOLS, tool_choice=NAMED,
                   temperature=0, max_tokens=200)
    plain = client.chat.completions.create(**request).choices[0].message.tool_calls[0].function
    with client.chat.completions.stream(**request) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.delta" in events and "tool_calls.function.arguments.done" in events
    assert final.finish_reason == "stop"
    assert (final.message.tool_calls[0].function.name, final.message.tool_calls[0].function.arguments) == (plain.name, plain.arguments)


def test_a_conversation_goes_on_behind_a_result(client, system):
    messages = [system, {"role": "user", "content": "Tell me the time."}]
    first = client.chat.completions.create(model="smollm2", messages=messages, tools=TOOLS, tool_choice=NAMED, temperature=0,
                                           max_tokens=200).choices[0].message
    messages += [first.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "It is noon."}]
    answer = client.chat.completions.create(model="smollm2", messages=messages, tools=TOOLS, tool_choice="none", temperature=0,
                                            max_tokens=20)
    assert answer.choices[0].message.content


def test_responses_call_functions_too(client):
    response = client.responses.create(
        model="smollm2", input="Tell me the time.", tools=[{"type": "function", "name": "get-time", "parameters": TIME}],
        tool_choice={"type": "function", "name": "get-time"}, temperature=0, max_output_tokens=200)
    calls = [item for item in response.output if item.type == "function_call"]
    assert len(calls) == 1 and calls[0].name == "get-time"
    jsonschema.validate(json.loads(calls[0].arguments), TIME)


def test_a_schema_that_cannot_be_kept_is_refused_by_name(client, system):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"not": {}}}}}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="smollm2", messages=[system, {"role": "user", "content": "x"}], tools=[tool])
    assert refused.value.param == "tools" and "'f'" in refused.value.message


def test_langchain_binds_tools(gateway):
    from langchain_openai import ChatOpenAI
    model = ChatOpenAI(base_url=gateway.url + "/v1", api_key="none", model="smollm2", temperature=0, max_tokens=200)
    message = model.bind_tools(TOOLS, tool_choice="get-time").invoke("Tell me the time.")
    assert message.tool_calls[0]["name"] == "get-time"
    jsonschema.validate(message.tool_calls[0]["args"], TIME)
