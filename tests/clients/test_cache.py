"""The response cache: what is served again, and what never is."""

import pytest

CAPITAL = "What is the capital of France?"


def test_the_second_identical_question_is_an_exact_hit(ask):
    first, second = ask(CAPITAL), ask(CAPITAL)
    assert (first.cache, second.cache) == ("miss", "exact")
    assert (first.cached, second.cached) == (False, True)
    assert second.text == first.text
    assert second.headers["x-kvasir-cache-entry"] == first.headers["x-kvasir-cache-entry"]
    assert second.body.id != first.body.id


def test_a_paraphrase_is_a_semantic_hit(ask):
    first, second = ask(CAPITAL), ask("What's the capital of France?")
    assert second.cache == "semantic" and second.cached is True
    assert second.text == first.text
    assert 0.95 <= float(second.headers["x-kvasir-similarity"]) < 1


def test_another_question_is_a_miss_that_says_why(ask):
    ask(CAPITAL)
    other = ask("How do I bake bread?")
    assert other.cache == "miss"
    assert other.headers["x-kvasir-cache-reason"] == "below_threshold"
    assert float(other.headers["x-kvasir-similarity"]) < 0.95


def test_a_plain_answer_is_replayed_as_a_stream(ask, client, system):
    plain = ask(CAPITAL)
    messages = [system, {"role": "user", "content": CAPITAL}]
    raw = client.chat.completions.with_raw_response.create(
        model="smollm2", messages=messages, temperature=0, max_tokens=24, stream=True)
    assert raw.headers["x-kvasir-cache"] == "exact"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices) == plain.text


def test_a_streamed_answer_is_replayed_plain(ask, client, system):
    messages = [system, {"role": "user", "content": CAPITAL}]
    chunks = list(client.chat.completions.create(
        model="smollm2", messages=messages, temperature=0, max_tokens=24, stream=True))
    reply = ask(CAPITAL)
    assert reply.cache == "exact"
    assert reply.text == "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_equal_questions_under_two_system_prompts_share_nothing(ask, upstream):
    for prompt in ("Speak English.", "Speak French."):
        messages = [{"role": "system", "content": prompt}, {"role": "user", "content": "two system prompts"}]
        assert ask("", model="mock", messages=messages).cache == "miss"
    assert upstream.asked("two system prompts") == 2


def test_equal_questions_after_two_conversations_share_nothing(ask, system):
    for topic in ("Hanoi", "Hue"):
        messages = [system, {"role": "user", "content": f"I live in {topic}."}, {"role": "assistant", "content": "Nice."},
                    {"role": "user", "content": "Is it far from the sea?"}]
        assert ask("", model="mock", messages=messages).cache == "miss"


def test_within_a_conversation_only_a_question_that_stands_alone_has_paraphrases(ask, system):
    def after(topic, question):
        turns = [{"role": "user", "content": f"Tell me about {topic}."}, {"role": "assistant", "content": "Gladly."}]
        reply = ask("", model="mock", messages=[system, *turns, {"role": "user", "content": question}])
        return reply.cache, reply.headers["x-kvasir-cache-reason"]

    assert after("France", "What is the capital of France?")[0] == "miss"
    assert after("France", "What's the capital of France?")[0] == "semantic"
    assert after("Spain", "What's the capital of France?")[0] == "miss"
    assert after("France", "And what about the winter there?") == ("miss", "follow_up")
    assert after("France", "And what of the winter there?") == ("miss", "follow_up")
    assert after("France", "And what about the winter there?") == ("exact", "hit")


def test_equal_questions_about_two_document_sets_share_nothing(ask):
    replies = [ask("What is the price?", model="mock", extra_body={"documents": documents}) for documents in (
        [{"id": "a", "text": "It costs 5."}],
        [{"id": "a", "text": "It costs 6."}],
        [{"id": "b", "text": "It costs 5."}],
        [{"id": "a", "text": "It costs 5."}, {"id": "b", "text": "Cash only."}],
        [{"id": "a", "text": "It costs 5.", "version": "2"}],
    )]
    assert [reply.cache for reply in replies] == ["miss"] * 5


def test_the_order_of_documents_does_not_matter(ask):
    a, b = {"id": "a", "text": "It costs 5."}, {"id": "b", "text": "Cash only."}
    assert ask("What is the price?", model="mock", extra_body={"documents": [a, b]}).cache == "miss"
    assert ask("What is the price?", model="mock", extra_body={"documents": [b, a]}).cache == "exact"


def in_text(document, question, instruction=""):
    return f"{instruction}Context:\n[Document 1]: {document}\n\nQuestion: {question}"


def test_documents_in_the_text_keep_equal_questions_apart(ask):
    assert ask(in_text("It costs 5.", CAPITAL), model="mock").cache == "miss"
    assert ask(in_text("It costs 6.", CAPITAL), model="mock").cache == "miss"
    assert ask(in_text("It costs 5.", CAPITAL, "Say it in French.\n"), model="mock").cache == "miss"


def test_a_paraphrase_over_the_same_documents_in_the_text_is_a_hit(ask):
    first = ask(in_text("Paris is the capital of France.", CAPITAL), model="mock")
    second = ask(in_text("Paris is the capital of France.", "What's the capital of France?"), model="mock")
    other = ask(in_text("Paris is the capital of France.", "How many people live there?"), model="mock")
    assert (second.cache, second.text) == ("semantic", first.text)
    assert other.cache == "miss"


def test_invalidating_a_document_removes_the_answers_that_used_it(ask, gateway):
    questions = {name: f"What does {name} say?" for name in ("doc-kept", "doc-gone")}
    for name, question in questions.items():
        ask(question, model="mock", extra_body={"documents": [{"id": name, "text": name}]})
    response = gateway.admin("POST", "/admin/cache/invalidate", json={"documents": ["doc-gone"]})
    assert response.status_code == 200
    after = {name: ask(question, model="mock", extra_body={"documents": [{"id": name, "text": name}]}).cache
             for name, question in questions.items()}
    assert after == {"doc-kept": "exact", "doc-gone": "miss"}


@pytest.mark.parametrize("changed", [
    {"max_tokens": 3}, {"seed": 1}, {"stop": ["x"]}, {"temperature": 0.7}, {"presence_penalty": 0.5},
    {"response_format": {"type": "json_object"}, "model": "mock"},
])
def test_a_parameter_that_changes_the_answer_is_part_of_the_key(ask, changed):
    question = "Count to ten and then on and on."
    model = changed.get("model", "smollm2")
    assert ask(question, model=model, max_tokens=6).cache == "miss"
    assert ask(question, **{"model": model, "max_tokens": 6, **changed}).cache != "exact"


def test_metadata_and_user_are_not_part_of_the_key(ask):
    assert ask("who asks?", model="mock", user="ann").cache == "miss"
    assert ask("who asks?", model="mock", user="bob", metadata={"page": "7"}).cache == "exact"


def test_tools_make_a_request_uncacheable(ask):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    for _ in range(2):
        reply = ask("use a tool", model="mock", tools=[tool])
        assert (reply.cache, reply.headers["x-kvasir-cache-reason"]) == ("bypass", "tools")


@pytest.mark.parametrize("question, reason", [
    ("What is in my inbox?", "personal"), ("Số dư tài khoản của tôi là bao nhiêu?", "personal"),
    ("What is the weather in Hue now?", "realtime"), ("今天天气怎么样？", "realtime"),
])
def test_what_is_true_for_one_asker_or_one_moment_is_not_cached(ask, upstream, question, reason):
    for _ in range(2):
        reply = ask(question, model="mock")
        assert (reply.cache, reply.headers["x-kvasir-cache-reason"]) == ("bypass", reason)
    assert upstream.asked(question) == 2


@pytest.mark.parametrize("first, second", [
    ("How do I enable two-factor authentication?", "How do I disable two-factor authentication?"),
    ("How many days are there in 2 weeks?", "How many days are there in 3 weeks?"),
    ("Is the shop open on Monday?", "Is the shop not open on Monday?"),
])
def test_questions_that_only_look_alike_never_answer_each_other(ask, first, second):
    assert ask(first, model="mock").cache == "miss"
    assert ask(second, model="mock").cache == "miss"


class TestCacheControl:
    def test_no_store_neither_reads_nor_writes(self, ask):
        header = {"cache-control": "no-store"}
        assert ask("private", model="mock", extra_headers=header).cache == "bypass"
        assert ask("private", model="mock").cache == "miss"

    def test_no_cache_asks_again_and_stores(self, ask, upstream):
        ask("refresh me", model="mock")
        ask("refresh me", model="mock", extra_headers={"cache-control": "no-cache"})
        assert upstream.asked("refresh me") == 2
        assert ask("refresh me", model="mock").cache == "exact"

    def test_only_if_cached_never_asks_the_model(self, gateway, upstream, system):
        body = {"model": "mock", "messages": [system, {"role": "user", "content": "only cached"}]}
        assert gateway.post(body, headers={"cache-control": "only-if-cached"}).status_code == 504
        assert upstream.asked("only cached") == 0


def test_statistics_and_metrics_count_hits(ask, gateway):
    before = gateway.admin("GET", "/admin/cache/stats").json()
    ask("count me", model="mock")
    ask("count me", model="mock")
    after = gateway.admin("GET", "/admin/cache/stats").json()
    assert after["exact_hits"] == before["exact_hits"] + 1
    assert "kvasir_" in gateway.admin("GET", "/metrics").text
