"""Two gateways over one Redis: one cache for both, and Redis may die."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import httpx
import pytest

from gateway_process import free_port, upstream_model

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}


class Redis:
    """A redis-server that writes every command to disk, so that it can be killed at any moment."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
             "--appendonly", "yes"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers)
        return self

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def store(self):
        return {"kind": "redis", "url": f"redis://127.0.0.1:{self.port}"}


def until(condition, seconds=30):
    """Waits for what must happen sooner or later, and returns what it came to."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)
    return result


def ask(gateway, question, **fields):
    body = {"model": "mock", "messages": [SYSTEM, {"role": "user", "content": question}], "temperature": 0, **fields}
    reply = gateway.post(body)
    assert reply.status_code == 200, reply.text
    return reply.headers["x-kvasir-cache"], reply.json()["choices"][0]["message"]["content"]


def only_if_cached(gateway, question, **fields):
    """The cache's word on a question, without asking the model."""
    body = {"model": "mock", "messages": [SYSTEM, {"role": "user", "content": question}], "temperature": 0, **fields}
    reply = gateway.post(body, headers={"cache-control": "only-if-cached"})
    return reply.headers["x-kvasir-cache"] if reply.status_code == 200 else "miss"


def store_stats(gateway):
    return gateway.admin("GET", "/admin/cache/stats").json()["store"]


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = Redis(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def pair(start_gateway, upstream, redis, tmp_path_factory):
    def start():
        folder = tmp_path_factory.mktemp("kvasir")
        store = {**redis.store, "path": str(folder / "data")}
        return start_gateway([upstream_model(upstream.url)], folder=folder, cache={"store": store})

    return start(), start()


def test_an_answer_stored_through_one_is_a_hit_through_the_other(pair, upstream):
    a, b = pair
    assert ask(a, "What is shared?") == ("miss", "Answer to: What is shared?")
    stored = time.monotonic()
    until(lambda: only_if_cached(b, "What is shared?") == "exact")
    print(f"a hit through the other {(time.monotonic() - stored) * 1000:.1f} ms after the answer")
    assert ask(b, "What is shared?") == ("exact", "Answer to: What is shared?")
    assert upstream.asked("What is shared?") == 1
    assert store_stats(b)["connected"] and store_stats(b)["kind"] == "redis"


def test_a_paraphrase_is_a_hit_through_the_other_too(pair):
    a, b = pair
    ask(a, "What is the capital of France?")
    until(lambda: only_if_cached(b, "What is the capital of France?") == "exact")
    assert only_if_cached(b, "What's the capital of France?") == "semantic"


def test_what_one_invalidates_the_other_does_not_serve(pair):
    a, b = pair
    documents = [{"id": "price-list", "text": "It costs 5."}]
    ask(a, "What does it cost?", documents=documents)
    until(lambda: only_if_cached(b, "What does it cost?", documents=documents) == "exact")
    removed = a.admin("POST", "/admin/cache/invalidate", json={"documents": ["price-list"]})
    told = time.monotonic()
    assert removed.status_code == 200
    until(lambda: only_if_cached(b, "What does it cost?", documents=documents) == "miss")
    print(f"a miss through the other {(time.monotonic() - told) * 1000:.1f} ms after the invalidation")
    assert ask(b, "What does it cost?", documents=documents)[0] == "miss"


def test_metrics_tell_how_the_store_is(pair):
    text = pair[0].admin("GET", "/metrics").text
    assert "kvasir_cache_store_connected 1" in text
    for name in ("away_seconds", "lag_seconds", "reconnects_total", "from_others_total", "damaged_total"):
        assert f"kvasir_cache_store_{name} " in text


class Load:
    """Questions from several threads, each new, until it is stopped."""

    def __init__(self, gateways, threads=4):
        self.statuses, self.took, self.lock, self.stopping = [], [], threading.Lock(), False
        self.threads = [threading.Thread(target=self.run, args=(gateways[i % len(gateways)], i)) for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, gateway, thread):
        with httpx.Client(timeout=60) as http:
            number = 0
            while not self.stopping:
                number += 1
                body = {"model": "mock", "temperature": 0,
                        "messages": [SYSTEM, {"role": "user", "content": f"Load {id(self)} {thread} {number}"}]}
                began = time.monotonic()
                try:
                    status = http.post(gateway.url + "/v1/chat/completions", json=body).status_code
                except httpx.HTTPError as problem:
                    status = repr(problem)
                with self.lock:
                    self.statuses.append(status)
                    self.took.append(time.monotonic() - began)
                time.sleep(0.002)

    def since(self, first):
        with self.lock:
            return sorted(self.took[first:])

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def show(label, times):
    print(f"{label}: p50 {times[len(times) // 2] * 1000:.2f} ms, p99 {times[len(times) * 99 // 100] * 1000:.2f} ms, "
          f"longest {times[-1] * 1000:.2f} ms, {len(times)} requests")


def test_redis_killed_and_restarted_under_load_costs_no_request(pair, redis):
    a, b = pair
    ask(a, "Before the end?")
    until(lambda: only_if_cached(b, "Before the end?") == "exact")
    load = Load(pair)
    try:
        until(lambda: len(load.statuses) > 300)
        show("with Redis", load.since(0))
        mark = len(load.statuses)
        redis.kill()
        until(lambda: len(load.statuses) > mark + 600)
        show("without", load.since(mark))
        assert only_if_cached(a, "Before the end?") == "miss", "what others removed meanwhile could not be known"
        assert ask(a, "In between?")[0] == "miss"
        assert not store_stats(a)["connected"]
        assert "kvasir_cache_store_connected 0" in a.admin("GET", "/metrics").text
        assert a.admin("GET", "/admin/cache/stats").json()["store_failures"] > 0
        redis.start()
        there = time.monotonic()
        until(lambda: store_stats(a)["connected"] and store_stats(b)["connected"])
        print(f"back {(time.monotonic() - there) * 1000:.0f} ms after the server")
        mark = len(load.statuses)
        until(lambda: len(load.statuses) > mark + 100)
    finally:
        load.stop()
    assert set(load.statuses) == {200}
    assert only_if_cached(a, "Before the end?") == "exact"
    assert ask(a, "Afterwards?")[0] == "miss"
    until(lambda: only_if_cached(b, "Afterwards?") == "exact")
    a.until_logged("the shared cache store is away")
    a.until_logged("the shared cache store is back")


def test_a_gateway_starts_while_redis_is_down(start_gateway, upstream, tmp_path):
    server = Redis(tmp_path / "redis")
    pathlib.Path(server.folder).mkdir()
    gateway = start_gateway([upstream_model(upstream.url)], folder=tmp_path,
                            cache={"store": {**server.store, "path": str(tmp_path / "data")}})
    try:
        assert ask(gateway, "Is anybody there?")[0] == "miss"
        assert not store_stats(gateway)["connected"]
        server.start()
        until(lambda: store_stats(gateway)["connected"])
        assert ask(gateway, "Is anybody there?")[0] == "miss"
        assert ask(gateway, "Is anybody there?")[0] == "exact"
    finally:
        server.kill()
