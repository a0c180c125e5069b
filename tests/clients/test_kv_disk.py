"""KV on disk: a prompt that memory let go of, or that an earlier process had read, is not computed again."""

import random
import re

import pytest

from gateway_process import engine_model

QUESTION = "Which of these words came first?"


def words(count, seed):
    chooser = random.Random(seed)
    return " ".join(chooser.choice(("time", "water", "house", "light", "paper", "river")) for _ in range(count))


@pytest.fixture
def start(start_gateway, tmp_path):
    def start(**settings):
        settings = {"kv_memory": "12MiB", "max_context": 512, "kv_disk": {"path": str(tmp_path / "kv")}, **settings}
        return start_gateway([engine_model(**settings)], folder=tmp_path)

    return start


def ask(gateway, system, **extra):
    """The answer with its first logprobs, which tell whether KV was what it should be to the bit."""
    completion = gateway.client().chat.completions.create(
        model="smollm2", temperature=0, max_tokens=4, logprobs=True, top_logprobs=3,
        messages=[{"role": "system", "content": system}, {"role": "user", "content": QUESTION}],
        extra_headers={"cache-control": "no-cache, no-store"}, **extra)
    choice = completion.choices[0]
    return choice.message.content, [token.logprob for token in choice.logprobs.content], completion.kvasir["prefix"]


def metric(gateway, name):
    return int(re.search(rf"^{name}\S* (\d+)$", gateway.admin("GET", "/metrics").text, re.MULTILINE).group(1))


def files(folder):
    return sorted(folder.glob("kv/*/*.kv"))


def test_a_prompt_comes_back_after_a_restart(start, tmp_path):
    gateway = start()
    text, logprobs, prefix = ask(gateway, words(200, 1))
    assert prefix["reused_tokens"] == 0
    gateway.stop()
    assert len(files(tmp_path)) > 10
    gateway = start()
    again = ask(gateway, words(200, 1))
    assert again[:2] == (text, logprobs)
    assert again[2]["reused_tokens"] > 200
    assert metric(gateway, "kvasir_kv_disk_read_blocks_total") > 10
    gateway.stop()


def test_a_prompt_comes_back_after_memory_let_go_of_it(start):
    gateway = start()
    first = ask(gateway, words(200, 1))
    for seed in range(2, 7):
        ask(gateway, words(200, seed))
    again = ask(gateway, words(200, 1))
    assert again[:2] == first[:2]
    assert metric(gateway, "kvasir_engine_evicted_blocks_total") > 0
    assert again[2]["reused_tokens"] > 200
    gateway.stop()


def test_kill_9_and_damaged_files_cost_a_computation_and_nothing_else(start, tmp_path):
    gateway = start()
    expected = ask(gateway, words(200, 1))
    for seed in range(2, 7):
        ask(gateway, words(200, seed))
    gateway.kill()
    chooser = random.Random(1)
    for path in files(tmp_path):
        content = bytearray(path.read_bytes())
        content[chooser.randrange(len(content))] ^= 1 << chooser.randrange(8)
        path.write_bytes(content)
    (files(tmp_path)[0].parent / "half.tmp").write_bytes(b"half a block")
    gateway = start()
    assert ask(gateway, words(200, 1))[:2] == expected[:2]
    assert metric(gateway, "kvasir_kv_disk_damaged_blocks_total") > 0
    assert not list(tmp_path.glob("kv/*/*.tmp"))
    gateway.stop()


def test_a_document_that_is_invalidated_leaves_the_disk(start, tmp_path):
    gateway = start()
    documents = {"documents": [{"id": "handbook", "text": words(200, 1)}]}
    ask(gateway, "Read.", extra_body=documents)
    gateway.stop()
    gateway = start()
    before = len(files(tmp_path))
    reply = gateway.admin("POST", "/admin/cache/invalidate", json={"documents": ["handbook"]})
    assert reply.status_code == 200, reply.text
    assert len(files(tmp_path)) < before - 10
    assert ask(gateway, "Read.", extra_body=documents)[2]["reused_tokens"] < 100
    gateway.stop()


def test_a_folder_that_cannot_be_used_is_one_sentence(start, tmp_path):
    (tmp_path / "kv").write_text("a file")
    with pytest.raises(AssertionError, match=r"cannot write in \S*kv.*engine\.kv_disk\.path"):
        start()
