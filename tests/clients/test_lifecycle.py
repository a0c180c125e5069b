"""Starting, draining, dying: what an operator sees, and what survives."""

import json
import socket
import subprocess
import threading
import time

import httpx
import pytest

from gateway_process import BINARY, Gateway, engine_model, upstream_model
from wire import BODY, CHAT, Wire, get


def question(text):
    return {"model": "mock", "temperature": 0, "messages": [{"role": "user", "content": text}]}


class Askers:
    """Clients that ask one question after another until the gateway dies; what they read to its end is in `answered`."""

    def __init__(self, gateway, count):
        self.answered = {}
        self.threads = [threading.Thread(target=self.run, args=(gateway, name)) for name in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, gateway, name):
        with httpx.Client(timeout=30) as client:
            for number in range(10000):
                text = f"asker {name} wants number {number}"
                try:
                    reply = client.post(gateway.url + "/v1/chat/completions", json=question(text))
                except httpx.TransportError:
                    return
                if reply.headers.get("x-kvasir-cache-entry"):
                    self.answered[text] = reply.json()["choices"][0]["message"]["content"]

    def join(self):
        for thread in self.threads:
            thread.join()


def test_every_answer_that_was_read_survives_kill_9(start_gateway, upstream, tmp_path):
    # The semantic tier is off: with it these questions would answer each other.
    cache = {"semantic": {"enabled": False}}
    gateway = start_gateway([upstream_model(upstream.url)], folder=tmp_path, cache=cache)
    for _ in range(3):
        askers = Askers(gateway, 4)
        time.sleep(1)
        gateway.kill()
        askers.join()
        assert len(askers.answered) > 10
        gateway = start_gateway([upstream_model(upstream.url)], folder=tmp_path, cache=cache)
        for text, answer in askers.answered.items():
            reply = gateway.post(question(text))
            assert reply.headers["x-kvasir-cache"] == "exact", text
            assert reply.json()["choices"][0]["message"]["content"] == answer
    assert gateway.admin("GET", "/admin/cache/stats").json()["corrupt"] == 0


def test_a_restart_keeps_semantic_hits(start_gateway, upstream, tmp_path):
    gateway = start_gateway([upstream_model(upstream.url)], folder=tmp_path)
    gateway.post(question("What is the capital of France?"))
    gateway.stop()
    gateway = start_gateway([upstream_model(upstream.url)], folder=tmp_path)
    assert gateway.post(question("What's the capital of France?")).headers["x-kvasir-cache"] == "semantic"


def test_sigterm_finishes_what_runs_and_takes_nothing_new(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)])
    received = []

    def read():
        body = {**question("slow stream to be finished"), "stream": True}
        with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=body, timeout=30) as response:
            received.extend(response.iter_lines())

    reader = threading.Thread(target=read)
    reader.start()
    while upstream.asked("slow stream to be finished") == 0:
        time.sleep(0.01)
    gateway.terminate()
    time.sleep(0.2)
    try:
        assert gateway.post(question("too late")).status_code == 503
    except httpx.ConnectError:
        pass  # not accepted any more
    assert upstream.asked("too late") == 0
    reader.join()
    assert "data: [DONE]" in received
    assert gateway.wait() == 0


def test_sigterm_reads_a_request_that_has_begun_to_its_end(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)])
    request = CHAT + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    with Wire(gateway.port) as idle, Wire(gateway.port) as half_a_head, Wire(gateway.port) as half_a_body:
        assert idle.send(get(b"Host: x")).answer()[0] == 200
        half_a_head.send(request[:20])
        half_a_body.send(request[:-20])
        while "kvasir_connections 3\n" not in gateway.admin("GET", "/metrics").text:
            time.sleep(0.01)
        gateway.terminate()
        assert idle.rest() == b""
        for wire, rest in (half_a_head, request[20:]), (half_a_body, request[-20:]):
            status, headers, body = wire.send(rest).answer()
            assert status == 503 and headers["connection"] == "close"
            assert json.loads(body)["error"]["code"] == "draining"
    assert gateway.wait() == 0


def test_a_hang_up_frees_the_engine(start_gateway):
    gateway = start_gateway([engine_model(max_sequences=1)])
    body = {"model": "smollm2", "stream": True, "temperature": 0, "max_tokens": 4000, "stop": None,
            "messages": [{"role": "user", "content": "Count from one to one thousand, one number a line."}]}
    for _ in range(3):
        with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=body, timeout=60) as response:
            next(response.iter_raw())
    # The only place in the engine is free again: this is answered long before 3 x 4000 tokens could be.
    reply = gateway.post({**body, "stream": False, "max_tokens": 1})
    assert reply.status_code == 200
    assert reply.json()["kvasir"]["queue_ms"] < 5000


@pytest.fixture
def refused(tmp_path, upstream):
    """Runs `kvasir serve` on a changed configuration that it must refuse; returns what it said."""

    def refused(change):
        gateway = Gateway(tmp_path, [engine_model(), upstream_model(upstream.url)])
        config = json.loads(gateway.config.read_text())
        change(config)
        gateway.config.write_text(json.dumps(config, indent=1))
        done = subprocess.run([BINARY, "serve", "--config", gateway.config], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        said = done.stderr.strip().splitlines()
        assert said and len(said[-1]) > 10
        return done.stderr

    return refused


def test_a_port_in_use_is_one_sentence_and_exit_code_1(refused):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(lambda config: config["server"].update(listen=f"127.0.0.1:{port}"))
    assert str(port) in said


@pytest.mark.parametrize("content", [None, b"", b"GGUF", b"not a model" * 100])
def test_a_wrong_model_file_is_one_sentence_and_exit_code_1(refused, tmp_path, content):
    path = tmp_path / "broken.gguf"
    if content is not None:
        path.write_bytes(content)
    said = refused(lambda config: config["models"][0]["engine"].update(gguf=str(path)))
    assert "broken.gguf" in said


def test_a_bad_configuration_is_shown_with_line_and_column(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("server:\n  listen: 127.0.0.1:8080\n  thraeds: 2\n")
    done = subprocess.run([BINARY, "check-config", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"{path}:3:3: " in done.stdout + done.stderr
