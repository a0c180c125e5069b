"""Answers and the documents that they came from: forms of prompts, modes, versions."""

import pytest

from gateway_process import upstream_model

HANOI, HUE = "Hanoi is the capital of Vietnam.", "Hue was the capital of Vietnam once."
ASKED, REWORDED, OTHER = "What is the capital of Vietnam?", "What's the capital of Vietnam?", "How many people live there?"

FORMS = {
    "langchain hub": (
        None, "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer "
        "the question. If you don't know the answer, just say that you don't know. Use three sentences maximum and keep "
        "the answer concise.\nQuestion: {question} \nContext: {context} \nAnswer:"),
    "langchain stuff": (
        None, "Use the following pieces of context to answer the question at the end. If you don't know the answer, just "
        "say that you don't know, don't try to make up an answer.\n\n{context}\n\nQuestion: {question}\nHelpful Answer:"),
    "langchain chat": (
        "Use the following pieces of context to answer the user's question. \nIf you don't know the answer, just say that "
        "you don't know, don't try to make up an answer.\n----------------\n{context}", "{question}"),
    "langchain tutorial": (
        "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer the "
        "question. If you don't know the answer, say that you don't know.\n\n{context}", "{question}"),
    "llama index": (
        "You are an expert Q&A system that is trusted around the world.",
        "Context information is below.\n---------------------\n{context}\n---------------------\nGiven the context "
        "information and not prior knowledge, answer the query.\nQuery: {question}\nAnswer: "),
    "tags": (None, "<documents>\n{tagged}\n</documents>\n\n{question}"),
    "numbered": (None, "Context:\n{numbered}\n\nQuestion: {question}"),
}


def messages(form, passages, question):
    values = {
        "question": question, "context": "\n\n".join(passages),
        "tagged": "\n".join(f'<document index="{i}">{text}</document>' for i, text in enumerate(passages, 1)),
        "numbered": "\n".join(f"[Document {i}]: {text}" for i, text in enumerate(passages, 1)),
    }
    system, user = FORMS[form]
    told = [{"role": "system", "content": system.format(**values)}] if system else []
    return [*told, {"role": "user", "content": user.format(**values)}]


@pytest.mark.parametrize("form", FORMS)
def test_prompts_of_frameworks_share_answers_by_their_passages(ask, form):
    def cached(passages, question):
        own = [f"{passage} ({form})" for passage in passages]  # two forms with the same content may share an answer
        return ask("", model="mock", messages=messages(form, own, question)).cache

    assert cached([HANOI, HUE], ASKED) == "miss"
    assert cached([HANOI, HUE], ASKED) == "exact"
    assert cached([HUE, HANOI], ASKED) == "exact"
    assert cached([HUE, HANOI], REWORDED) == "semantic"
    assert cached([HANOI, HUE], OTHER) == "miss"
    assert cached([HUE], ASKED) == "miss"
    assert cached([HANOI.replace("Hanoi", "Hai Phong"), HUE], ASKED) == "miss"


def test_a_recognised_passage_can_be_invalidated_by_its_hash(ask, gateway):
    told = messages("langchain chat", ["A passage of its own.", HUE], ASKED)
    entry = ask("", model="mock", messages=told).headers["x-kvasir-cache-entry"]
    documents = gateway.admin("GET", f"/admin/cache/entries/{entry}").json()["documents"]
    assert len(documents) == 2
    assert gateway.admin("POST", "/admin/cache/invalidate", json={"documents": documents[:1]}).json()["answers"] == 1
    assert ask("", model="mock", messages=told).cache == "miss"


def test_the_model_reads_the_prompt_as_it_came(ask, upstream):
    told = messages("langchain hub", [HUE, HANOI], "What was the capital once?")
    ask("", model="mock", messages=told)
    assert upstream.received(told[-1]["content"])[0]["body"]["messages"] == told


@pytest.fixture(scope="module")
def modes(start_gateway, upstream):
    return start_gateway([
        upstream_model(upstream.url), {**upstream_model(upstream.url), "name": "any", "cache": {"documents": "ignore"}},
        {**upstream_model(upstream.url), "name": "some", "cache": {"documents": "superset"}}],
        rag={"context_patterns": ["Facts> {documents} <Facts\nAsk: {question}"]})


def test_each_model_has_its_mode(modes, ask):
    a, b, c = ({"id": name, "text": f"text of {name}"} for name in "abc")

    def cached(model, *documents):
        return ask("What is said?", client=modes.client(), model=model, extra_body={"documents": list(documents)}).cache

    assert [cached("some", a), cached("some", a, b), cached("some", b, c)] == ["miss", "exact", "miss"]
    assert [cached("any", a), cached("any", b, c), cached("any", {**a, "text": "changed"})] == ["miss", "exact", "miss"]
    assert [cached("mock", a), cached("mock", a, b)] == ["miss", "miss"]


def test_an_operators_pattern_is_recognised(modes, ask):
    def cached(passages, question):
        text = f"Facts> {passages} <Facts\nAsk: {question}"
        return ask("", client=modes.client(), model="mock", messages=[{"role": "user", "content": text}]).cache

    assert cached(f"{HANOI}\n\n{HUE}", ASKED) == "miss"
    assert cached(f"{HUE}\n\n{HANOI}", REWORDED) == "semantic"
    assert cached(HUE, ASKED) == "miss"


def test_another_version_takes_the_answers_from_the_old_ones_along(modes, ask):
    def cached(version):
        document = {"id": "manual", "text": f"Press {version} times.", "version": version}
        return ask("How often?", client=modes.client(), model="mock", extra_body={"documents": [document]}).cache

    assert [cached("1"), cached("2")] == ["miss", "miss"]
    told = {"documents": [{"id": "manual", "version": "2"}]}
    assert modes.admin("POST", "/admin/cache/invalidate", json=told).json()["answers"] == 1
    assert [cached("1"), cached("2")] == ["miss", "exact"]


@pytest.mark.parametrize("documents", [[{"id": "x"}], [{"id": "x", "version": 2}], [{"id": "x", "version": "1", "y": 1}], [3]])
def test_a_wrong_document_is_named(gateway, documents):
    response = gateway.admin("POST", "/admin/cache/invalidate", json={"documents": documents})
    assert response.status_code == 400 and response.json()["error"]["param"] == "documents"


def test_reasoning_is_replayed_in_both_shapes(ask, client, system):
    question = "think about the sea"
    first, second = ask(question, model="mock"), ask(question, model="mock")
    assert (first.cache, second.cache) == ("miss", "exact")
    assert second.body.choices[0].message.reasoning_content == "Hm. Let me see."
    told = [system, {"role": "user", "content": question}]
    raw = client.chat.completions.with_raw_response.create(
        model="mock", messages=told, temperature=0, max_tokens=24, stream=True)
    assert raw.headers["x-kvasir-cache"] == "exact"
    deltas = [chunk.choices[0].delta for chunk in raw.parse() if chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm. Let me see."
    assert "".join(delta.content or "" for delta in deltas) == second.text


def test_reasoning_of_a_stream_is_replayed_plain(ask, client, system):
    told = [system, {"role": "user", "content": "think about the shore"}]
    list(client.chat.completions.create(model="mock", messages=told, temperature=0, max_tokens=24, stream=True))
    reply = ask("", model="mock", messages=told)
    assert reply.cache == "exact" and reply.body.choices[0].message.reasoning_content == "Hm. Let me see."
