"""/v1/responses through the openai client: by the model in process, and by an upstream that knows chat completions only."""

import asyncio
import json

import httpx
import openai
import pytest

from gateway_process import Gateway, engine_model, key_entry, upstream_model

WEATHER = {"type": "function", "name": "f", "description": "The weather.", "strict": None,
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


@pytest.fixture
def respond(client, request):
    """Greedy, in a partition of the test's own."""

    def respond(input, *, model="smollm2", **options):
        options.setdefault("temperature", 0)
        options.setdefault("max_output_tokens", 24)
        options.setdefault("instructions", f"You are a helpful assistant in {request.node.name}.")
        return client.responses.create(model=model, input=input, **options)

    return respond


def events_of(gateway, body):
    """The events of a stream; checks their form on the wire."""
    with httpx.stream("POST", gateway.url + "/v1/responses", json={"stream": True, **body}, timeout=60) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        text = b""
        for piece in response.iter_raw():
            text += piece
    events = []
    for block in text.decode().split("\n\n")[:-1]:
        kind, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert kind == "event: " + events[-1]["type"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events, response.headers


def test_a_question_is_answered_with_the_whole_object(respond):
    response = respond("What is the capital of France?", metadata={"topic": "cities"}, user="ann")
    assert "Paris" in response.output_text
    assert response.id.startswith("resp_") and response.object == "response" and response.model == "smollm2"
    assert response.status == "completed" and response.error is None and response.incomplete_details is None
    assert response.metadata == {"topic": "cities"} and response.user == "ann" and response.max_output_tokens == 24
    assert response.temperature == 0 and response.tools == [] and response.tool_choice == "auto" and response.store is True
    message = response.output[0]
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed")
    assert message.id.startswith("msg_") and message.content[0].type == "output_text" and message.content[0].annotations == []
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens and usage.output_tokens_details.reasoning_tokens == 0
    assert usage.input_tokens_details.cached_tokens + usage.input_tokens_details.cache_write_tokens == usage.input_tokens


def test_the_caches_apply_as_for_a_chat(client, ask, system):
    def raw(question):
        reply = client.responses.with_raw_response.create(
            model="smollm2", input=question, instructions=system["content"], temperature=0, max_output_tokens=24)
        return reply.headers, reply.parse()

    chat = ask("What is the capital of France?", max_tokens=None, max_completion_tokens=24)
    headers, response = raw("What is the capital of France?")
    assert headers["x-kvasir-cache"] == "exact" and headers["x-kvasir-cache-entry"] == chat.headers["x-kvasir-cache-entry"]
    assert response.output_text == chat.text and response.model_extra["cached"] is True
    assert raw("What's the capital of France?")[0]["x-kvasir-cache"] == "semantic"
    assert raw("What is the capital of France?")[1].id != response.id


def test_an_answer_that_was_cut_is_incomplete(respond):
    response = respond("Tell me a long story about a river.", max_output_tokens=5)
    assert response.status == "incomplete" and response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].status == "incomplete" and response.usage.output_tokens == 5


@pytest.mark.parametrize("again", [False, True])
def test_a_stream_climbs_the_whole_ladder(gateway, again):
    body = {"model": "smollm2", "input": "What is the capital of France?", "instructions": "Ladder.", "temperature": 0,
            "max_output_tokens": 24}
    events, headers = events_of(gateway, body)
    assert headers["x-kvasir-cache"] == ("exact" if again else "miss")
    kinds = [event["type"] for event in events]
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert kinds == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
                     *["response.output_text.delta"] * len(deltas), "response.output_text.done", "response.content_part.done",
                     "response.output_item.done", "response.completed"]
    created, last = events[0]["response"], events[-1]["response"]
    assert created["status"] == "in_progress" and created["output"] == [] and created["usage"] is None
    text = "".join(deltas)
    assert text and (len(deltas) > 1) is not again
    assert next(event["text"] for event in events if event["type"] == "response.output_text.done") == text
    assert last["id"] == created["id"] and last["status"] == "completed"
    assert last["output"][0]["content"][0]["text"] == text and last["usage"]["output_tokens"] > 0
    ids = {event["item_id"] for event in events if "item_id" in event}
    assert ids == {last["output"][0]["id"]} == {events[2]["item"]["id"]}
    assert all(event["output_index"] == 0 for event in events if "output_index" in event)


def test_a_stream_that_was_cut_ends_incomplete(gateway):
    events, _ = events_of(gateway, {"model": "smollm2", "input": "Tell me a story.", "max_output_tokens": 3})
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_an_item_ends_before_the_next_one_begins(gateway):
    tools = [WEATHER, {**WEATHER, "name": "other"}]
    events, _ = events_of(gateway, {"model": "mock", "input": f"call {WEATHER['name']} and other", "tools": tools})
    steps = [(event["type"].rsplit(".", 1)[-1], event["output_index"]) for event in events if ".output_item." in event["type"]]
    assert steps == [("added", 0), ("done", 0), ("added", 1), ("done", 1)]
    assert [item["status"] for item in events[-1]["response"]["output"]] == ["completed"] * 2


@pytest.mark.parametrize("question", ["Name a fruit.", "call f and g"])
def test_a_kept_response_is_streamed_again(gateway, client, question):
    tools = [{**WEATHER, "name": name} for name in ("f", "g")]
    first, _ = events_of(gateway, {"model": "mock", "input": question, "tools": tools})
    whole = first[-1]["response"]
    again = list(client.responses.retrieve(whole["id"], stream=True))
    assert [event.sequence_number for event in again] == list(range(len(again)))
    assert again[-1].response.to_dict() == client.responses.retrieve(whole["id"]).to_dict()
    kinds = [event["type"] for event in first]
    assert sorted(set(kinds)) == sorted({event.type for event in again})
    assert [kind for kind in kinds if not kind.endswith("delta")] == [event.type for event in again if not event.type.endswith("delta")]
    rest = list(client.responses.retrieve(whole["id"], stream=True, starting_after=3))
    assert [event.sequence_number for event in rest] == [event.sequence_number for event in again[4:]]


@pytest.mark.parametrize("query, param", [("stream=perhaps", "stream"), ("stream=true&starting_after=x", "starting_after")])
def test_a_query_that_does_not_fit_is_refused_by_name(gateway, client, query, param):
    response = client.responses.create(model="mock", input="Hi")
    refused = httpx.get(f"{gateway.url}/v1/responses/{response.id}?{query}", timeout=30)
    assert refused.status_code == 400 and refused.json()["error"]["param"] == param


def test_reasoning_without_an_id_is_listed_with_one(client):
    response = client.responses.create(model="mock", input=[
        {"type": "reasoning", "summary": []}, {"role": "user", "content": "Hi"}])
    items = client.responses.input_items.list(response.id, order="asc").data
    assert items[0].type == "reasoning" and items[0].id.startswith("rs_")


def test_the_sdk_s_stream_helper_understands_it(client):
    with client.responses.stream(model="smollm2", input="What is the capital of France?", temperature=0) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        response = stream.get_final_response()
    assert text and response.output_text == text


def test_the_async_client_streams(gateway):
    async def run():
        async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
            stream = await client.responses.create(model="smollm2", input="Name a tree.", max_output_tokens=6, stream=True)
            return [event.type async for event in stream]

    assert asyncio.run(run())[-1] in ("response.completed", "response.incomplete")


def test_items_say_the_same_as_a_chat(client, upstream):
    client.responses.create(model="mock", store=False, instructions="Be brief.", input=[
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Where?", "annotations": []}]},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Ask once."}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "sun"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "Hue"}, {"type": "input_text", "text": "now"},
                                     {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}]},
        {"role": "user", "content": "again"}])
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert upstream.requests[-1]["body"]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "Where?"},
        {"role": "developer", "content": "Ask once."},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", **call}, {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "sun"},
        {"role": "user", "content": [{"type": "text", "text": "Hue"}, {"type": "text", "text": "now"}, {
            "type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}]},
        {"role": "user", "content": "again"}]


def test_options_become_those_of_a_chat(client, upstream):
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    client.responses.create(
        model="mock", input="options", tools=[WEATHER], tool_choice={"type": "function", "name": "f"}, parallel_tool_calls=False,
        max_output_tokens=9, reasoning={"effort": "low"}, top_p=0.5, truncation="disabled", include=["message.output_text.logprobs"],
        top_logprobs=2, text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"})
    body = upstream.requests[-1]["body"]
    assert body["tools"] == [{"type": "function", "function": {key: WEATHER[key] for key in ("name", "description", "parameters")}}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}} and body["parallel_tool_calls"] is False
    assert body["max_completion_tokens"] == 9 and body["reasoning_effort"] == "low" and body["top_p"] == 0.5
    assert body["logprobs"] is True and body["top_logprobs"] == 2 and body["verbosity"] == "low"
    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    assert not {"input", "store", "truncation", "metadata", "include"} & set(body)


def test_logprobs_come_with_the_text(respond):
    response = respond("Name a colour.", include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=4)
    logprobs = response.output[0].content[0].logprobs
    assert "".join(item.token for item in logprobs) == response.output_text
    assert all(len(item.top_logprobs) == 2 for item in logprobs)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_that_are_called_become_items(gateway, client, stream):
    body = {"model": "mock", "input": "call f and g", "tools": [WEATHER, {**WEATHER, "name": "g"}]}
    if stream:
        events, _ = events_of(gateway, body)
        kinds = [event["type"] for event in events]
        assert kinds.count("response.function_call_arguments.done") == kinds.count("response.output_item.done") == 2
        arguments = "".join(event["delta"] for event in events
                            if event["type"] == "response.function_call_arguments.delta" and event["output_index"] == 1)
        assert arguments == '{"city":"Hue"}'
        response = openai.types.responses.Response.model_validate(events[-1]["response"])
    else:
        response = client.responses.create(**body)
    assert [(item.type, item.name, item.call_id, item.arguments, item.status) for item in response.output] == [
        ("function_call", name, f"call_{name}", '{"city":"Hue"}', "completed") for name in ("f", "g")]
    follow_up = client.responses.create(model="mock", previous_response_id=response.id, tools=body["tools"], input=[
        {"type": "function_call_output", "call_id": "call_f", "output": "rain"},
        {"type": "function_call_output", "call_id": "call_g", "output": "sun"}, {"role": "user", "content": "And?"}])
    assert follow_up.output_text == "Answer to: And?"


def test_a_conversation_goes_on_from_a_response_and_takes_no_old_instructions(client, upstream):
    first = client.responses.create(model="mock", input="one", instructions="First.")
    second = client.responses.create(model="mock", input="two", previous_response_id=first.id)
    third = client.responses.create(model="mock", input="three", previous_response_id=second.id, instructions="Third.")
    assert third.previous_response_id == second.id
    assert [(message["role"], message["content"]) for message in upstream.requests[-1]["body"]["messages"]] == [
        ("system", "Third."), ("user", "one"), ("assistant", "Answer to: one"), ("user", "two"),
        ("assistant", "Answer to: two"), ("user", "three")]


def test_responses_are_kept_listed_and_removed(client):
    response = client.responses.create(model="mock", metadata={"a": "b"}, input=[
        {"role": "user", "content": text} for text in ("one", "two", "three")])
    assert client.responses.retrieve(response.id) == response
    items = client.responses.input_items.list(response.id)
    assert [item.content[0].text for item in items.data] == ["three", "two", "one"] and items.has_more is False
    page = client.responses.input_items.list(response.id, order="asc", limit=2)
    assert [item.content[0].text for item in page] == ["one", "two", "three"]  # the SDK turns the pages
    client.responses.delete(response.id)
    for gone in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            gone(response.id)
    with pytest.raises(openai.NotFoundError) as error:
        client.responses.create(model="mock", input="on", previous_response_id=response.id)
    assert (error.value.code, error.value.param) == ("previous_response_not_found", "previous_response_id")


def test_a_response_that_is_not_to_be_stored_is_not(client):
    response = client.responses.create(model="mock", input="secret", store=False)
    assert response.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_responses_survive_kill_9(start_gateway, upstream, tmp_path):
    gateway = start_gateway([upstream_model(upstream.url)], folder=tmp_path)
    first = gateway.client().responses.create(model="mock", input="remember")
    gateway.kill()
    gateway.start()
    second = gateway.client().responses.create(model="mock", input="go on", previous_response_id=first.id)
    assert second.output_text == "Answer to: go on"
    assert [message["content"] for message in upstream.requests[-1]["body"]["messages"]] == [
        "remember", "Answer to: remember", "go on"]


def test_tenants_do_not_see_each_other_s_responses(start_gateway, upstream):
    keys = [key_entry("ann"), key_entry("bob"), key_entry("anna", tenant="ann")]
    gateway = start_gateway([upstream_model(upstream.url)], auth={"keys": keys})
    ann, bob, anna = (gateway.client(key=key) for key in ("ann", "bob", "anna"))
    response = ann.responses.create(model="mock", input="mine")
    for look in bob.responses.retrieve, bob.responses.input_items.list, bob.responses.delete:
        with pytest.raises(openai.NotFoundError):
            look(response.id)
    with pytest.raises(openai.NotFoundError):
        bob.responses.create(model="mock", input="on", previous_response_id=response.id)
    assert ann.responses.retrieve(response.id).id == response.id
    assert anna.responses.retrieve(response.id).id == response.id


def test_the_oldest_go_when_there_are_too_many_bytes(tmp_path, upstream):
    gateway = Gateway(tmp_path, [upstream_model(upstream.url)])
    config = json.loads(gateway.config.read_text())
    config["responses"] = {"max_bytes": "1MiB"}
    gateway.config.write_text(json.dumps(config))
    gateway.start()
    try:
        client = gateway.client()
        ids = [client.responses.create(model="mock", input=f"{i} " + "x" * 300_000).id for i in range(4)]
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(ids[0])
        assert client.responses.retrieve(ids[-1]).id == ids[-1]
    finally:
        gateway.stop()


@pytest.mark.parametrize("fields, param", [
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": 5}, "input"),
    ({"input": [5]}, "input[0]"),
    ({"input": [{"role": "king", "content": "a"}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
    ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input[0].content[0].type"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
    ({"instructions": 5}, "instructions"),
    ({"temperature": 2.1}, "temperature"),
    ({"top_p": "high"}, "top_p"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": 1.5}, "max_output_tokens"),
    ({"metadata": {str(i): "" for i in range(17)}}, "metadata"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"metadata": {"a": "x" * 513}}, "metadata.a"),
    ({"background": True}, "background"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"messages": []}, "messages"),
    ({"truncation": "some"}, "truncation"),
    ({"include": ["everything"]}, "include[0]"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ({"text": {"format": {"type": "json_schema", "name": "n", "schema": None}}}, "text.format.schema"),
    ({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}, "text.format.name"),
    ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {"dependentRequired": {}}}}}, "text.format"),
    ({"text": {"verbosity": "loud"}}, "text.verbosity"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "no spaces"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "f", "parameters": 1}]}, "tools[0].parameters"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"store": "yes"}, "store"),
    ({"stream_options": {"include_obfuscation": False}}, "stream_options"),
    ({"input": "word " * 12000}, "input"),
])
def test_what_does_not_fit_is_refused_by_name(gateway, fields, param):
    response = gateway.post({"model": "smollm2", "input": "Hi", "max_output_tokens": 1, **fields}, path="/v1/responses")
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["param"] == param


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.responses.create(model="gpt-9", input="Hi")
    assert error.value.code == "model_not_found"


def test_errors_of_an_upstream_pass(client):
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model="mock", input="status 429 for responses")


def test_a_stream_that_breaks_says_so_and_is_not_kept(client, upstream):
    upstream.may_break.clear()
    events = []
    with pytest.raises(openai.APIError, match="broke off"):
        for event in client.responses.create(model="mock", input="cut across", stream=True):
            events.append(event)
            upstream.may_break.set()
    assert events[-1].type == "response.failed"
    assert events[-1].response.status == "failed" and events[-1].response.error.code == "server_error"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(events[0].response.id)


def test_a_stream_that_breaks_breaks_its_connection(gateway, upstream):
    upstream.may_break.clear()
    text = b""
    with pytest.raises(httpx.TransportError):
        with httpx.stream("POST", gateway.url + "/v1/responses", json={"model": "mock", "input": "cut down", "stream": True},
                          timeout=60) as response:
            for piece in response.iter_raw():
                text += piece
                upstream.may_break.set()
    last = text.decode().rstrip().split("\n\n")[-1]
    assert set(json.loads(last.removeprefix("data: "))["error"]) == {"message", "type", "param", "code"}
    assert b"[DONE]" not in text


def test_a_format_holds_and_keeps_the_caller_s_order(client):
    schema = {"type": "object", "properties": {"zone": {"enum": ["a", "b"]}, "age": {"type": "integer", "minimum": 1, "maximum": 9}},
              "required": ["zone", "age"], "additionalProperties": False}
    response = client.responses.create(
        model="smollm2", input="A zone and an age.", text={"format": {"type": "json_schema", "name": "n", "schema": schema}})
    assert response.status == "completed" and list(json.loads(response.output_text)) == ["zone", "age"]
    assert isinstance(json.loads(client.responses.create(
        model="smollm2", input="Anything as JSON.", text={"format": {"type": "json_object"}}, max_output_tokens=200, temperature=0
    ).output_text), dict)


def test_the_engine_serves_a_conversation(start_gateway):
    client = start_gateway([engine_model()]).client()
    first = client.responses.create(model="smollm2", input="My cat is called Miu.", max_output_tokens=16, temperature=0)
    second = client.responses.create(model="smollm2", input="What is my cat called?", previous_response_id=first.id,
                                     max_output_tokens=16, temperature=0)
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.usage.input_tokens_details.cached_tokens > 0


def test_parts_of_an_assistants_message_may_hold_more_than_their_own_key(gateway):
    parts = [{"type": "output_text", "text": "a", "refusal": None}, {"type": "refusal", "refusal": "no", "text": 5},
             {"type": "input_image", "image_url": "http://127.0.0.1/a.png"}]
    reply = gateway.http.post(gateway.url + "/v1/responses", json={
        "model": "mock", "input": [{"role": "assistant", "content": parts}, {"role": "user", "content": "and then?"}]})
    assert reply.status_code in (200, 400)


def test_items_without_an_id_are_passed_over_by_after(gateway):
    made = gateway.http.post(gateway.url + "/v1/responses", json={
        "model": "mock", "input": [{"type": "reasoning", "summary": []}, {"role": "user", "content": "think"}]})
    if made.status_code == 200:
        items = gateway.url + f"/v1/responses/{made.json()['id']}/input_items"
        assert gateway.http.get(items, params={"after": "nobody", "order": "asc"}).status_code == 400
