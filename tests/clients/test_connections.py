"""Connections: how many, for how long, encrypted, from web pages, and with readers that do not read."""

import contextlib
import json
import pathlib
import re
import resource
import shutil
import socket
import ssl
import subprocess
import threading
import time

import httpx
import openai
import pytest

from gateway_process import upstream_model
from mock_upstream import Handler, MockUpstream
from wire import BODY, CHAT, Wire, get

HEALTH = get(b"Host: x")


def metric(gateway, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", gateway.admin("GET", "/metrics").text, re.M)
    assert found, f"{name} is missing"
    return float(found[1])


def eventually(check, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture(scope="module")
def gateway(start_gateway, upstream):
    return start_gateway([upstream_model(upstream.url)], server={"stream_keepalive": "100ms"})


def test_one_address_has_no_more_than_its_share(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)], server={"max_connections_per_address": 3})
    eventually(lambda: metric(gateway, "kvasir_connections") == 0, "the fixture's connections stay open")
    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(Wire(gateway.port)) for _ in range(3)]
        for wire in first:
            assert wire.send(HEALTH).answer()[0] == 200
        one_more = stack.enter_context(Wire(gateway.port))
        status, headers, body = one_more.answer()
        assert status == 503 and headers["connection"] == "close" and headers["x-request-id"]
        assert json.loads(body)["error"]["code"] == "too_many_connections"
        assert one_more.rest() == b""
        assert first[0].send(HEALTH).answer()[0] == 200, "who was there before is still served"
        other = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), source_address=("127.0.0.9", 0)))
        other.sendall(HEALTH)
        assert other.recv(100).startswith(b"HTTP/1.1 200"), "another address has its own share"
        assert metric(gateway, 'kvasir_connections_refused_total{limit="address"}') == 1
        first[0].socket.close()
        eventually(lambda: metric(gateway, "kvasir_connections") == 3, "a place is given back")
        with Wire(gateway.port) as wire:
            assert wire.send(HEALTH).answer()[0] == 200


def test_all_addresses_together_have_no_more_than_there_is(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)], server={"max_connections": 2})
    eventually(lambda: metric(gateway, "kvasir_connections") == 0, "the fixture's connections stay open")
    with Wire(gateway.port) as one, Wire(gateway.port) as two:
        assert one.send(HEALTH).answer()[0] == 200 and two.send(HEALTH).answer()[0] == 200
        with socket.create_connection(("127.0.0.1", gateway.port), source_address=("127.0.0.9", 0)) as three:
            assert three.recv(100).startswith(b"HTTP/1.1 503")
        assert metric(gateway, 'kvasir_connections_refused_total{limit="all"}') == 1
        assert metric(gateway, "kvasir_connections_limit") == 2


def test_running_out_of_descriptors_ends_nothing(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)])
    pid = gateway.process.pid
    used = len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)) for _ in range(2)]
        for wire in wires:
            assert wire.send(HEALTH).answer()[0] == 200
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 3, hard))
        waiting = [stack.enter_context(Wire(gateway.port)) for _ in range(20)]
        for wire in waiting:
            wire.send(HEALTH)
        before = cpu_seconds(pid)
        time.sleep(1)
        assert cpu_seconds(pid) - before < 0.5, "the listener spins"
        assert wires[0].send(HEALTH).answer()[0] == 200
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        for wire in waiting:
            assert wire.answer()[0] == 200, "who waited is served once there are descriptors again"
    assert metric(gateway, "kvasir_accept_failures_total") > 0


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_a_stream_on_which_nothing_comes_is_kept_alive(gateway):
    body = json.dumps({"model": "mock", "stream": True, "messages": [{"role": "user", "content": "slow and steady"}]}).encode()
    with Wire(gateway.port) as wire:
        wire.send(CHAT + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert b": keep-alive\n\n" in wire.rest()
    client = gateway.client()
    stream = client.chat.completions.create(
        model="mock", stream=True, messages=[{"role": "user", "content": "slow and steadier"}])
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "Answer to: slow and steadier", "the SDK passes over the comments"


class Flood(Handler):
    """Streams 8 MiB as fast as they are taken."""

    def stream(self, order):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for _ in range(512):
            self.send_chunk(self.event({"content": "x" * (16 << 10)}))
        self.send_chunk(self.event({}, "stop"))
        self.send_chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")
        self.server.flooded.set()


def memory(pid):
    """Resident bytes; what the kernel's sockets hold is not among them."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) << 10


def test_readers_that_do_not_read_share_what_waits_for_them(start_gateway):
    upstream = MockUpstream()
    upstream.RequestHandlerClass = Flood
    upstream.flooded = threading.Event()
    gateway = start_gateway([upstream_model(upstream.url)])
    body = json.dumps({"model": "mock", "stream": True, "messages": [{"role": "user", "content": "flood"}]}).encode()
    request = CHAT + b"Content-Length: %d\r\n\r\n" % len(body) + body
    before = memory(gateway.process.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(Wire(gateway.port, receive_buffer=4096)).send(request)
        assert upstream.flooded.wait(20)
        eventually(lambda: metric(gateway, "kvasir_connections") == 40, "they are all connected")
        with Wire(gateway.port) as reader:
            assert reader.send(HEALTH).answer()[0] == 200
        grown = memory(gateway.process.pid) - before
        assert grown < 100 << 20, f"{grown >> 20} MiB for 40 readers of 8 MiB"
    upstream.close()


@pytest.mark.parametrize("origins, origin, allowed", [
    (["https://a.example"], "https://a.example", "https://a.example"),
    (["https://a.example"], "https://b.example", None),
    (["*"], "https://b.example", "*"),
    ([], "https://a.example", None),
])
def test_web_pages_of_known_origins_may_read(start_gateway, upstream, origins, origin, allowed):
    auth = {"keys": [{"name": "k", "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]}
    gateway = start_gateway([upstream_model(upstream.url)], server={"cors_origins": origins}, auth=auth)
    path = gateway.url + "/v1/chat/completions"
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}
    preflight = gateway.http.options(path, headers={"origin": origin, **asked})
    assert preflight.status_code == 204, "a preflight has no key"
    body = json.loads(BODY)
    answers = {
        "an answer": gateway.post(body, headers={"origin": origin, "authorization": "Bearer abc"}),
        "a stream": gateway.post({**body, "stream": True}, headers={"origin": origin, "authorization": "Bearer abc"}),
        "a wrong key": gateway.post(body, headers={"origin": origin}),
        "a bad field": gateway.post({"messages": 5}, headers={"origin": origin, "authorization": "Bearer abc"}),
    }
    assert [answer.status_code for answer in answers.values()] == [200, 200, 401, 400]
    for what, answer in [("the preflight", preflight), *answers.items()]:
        assert answer.headers.get("access-control-allow-origin") == allowed, what
        assert answer.headers.get("vary") == ("Origin" if origins else None), what
        exposed = answer.headers.get("access-control-expose-headers", "")
        assert ("x-kvasir-cache-reason" in exposed.split(", ")) == bool(allowed), what
    if allowed:
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert preflight.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
    else:
        assert not any(name.startswith("access-control") for name in preflight.headers)


def make_certificate(folder, name):
    """A certificate of its own for 127.0.0.1 in folder/certificate.pem and folder/key.pem."""
    made = folder / name
    made.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made / "key.pem", "-out",
         made / "certificate.pem"],
        check=True, capture_output=True)
    return made


def install(made, folder):
    for name in ("key.pem", "certificate.pem"):
        shutil.copy(made / name, folder / f"{name}.new")
        (folder / f"{name}.new").rename(folder / name)


class TlsGateway:
    def __init__(self, start_gateway, url, folder):
        self.folder, self.first = folder, make_certificate(folder, "first")
        install(self.first, folder)
        tls = {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
        self.gateway = start_gateway([upstream_model(url)], server={"tls": tls, "header_timeout": "1s",
                                                                   "stream_keepalive": "100ms"}, tls=True)

    def trust(self, made=None):
        return ssl.create_default_context(cafile=(made or self.first) / "certificate.pem")

    def connect(self, context=None):
        raw = socket.create_connection(("127.0.0.1", self.gateway.port), timeout=20)
        return (context or self.trust()).wrap_socket(raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False)


@pytest.fixture(scope="module")
def tls(start_gateway, upstream, tmp_path_factory):
    return TlsGateway(start_gateway, upstream.url, tmp_path_factory.mktemp("tls"))


def test_tls_serves_the_sdk(tls):
    http = httpx.Client(verify=tls.trust())
    client = openai.OpenAI(base_url=f"https://127.0.0.1:{tls.gateway.port}/v1", api_key="none", http_client=http)
    messages = [{"role": "user", "content": "over TLS " + "and on " * 10000}]
    answer = client.chat.completions.create(model="mock", messages=messages)
    assert answer.choices[0].message.content == "Answer to: " + messages[0]["content"]
    stream = client.chat.completions.create(model="mock", stream=True, messages=[{"role": "user", "content": "a stream"}])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Answer to: a stream"


def test_tls_ends_with_its_own_goodbye(tls):
    """So that nobody takes a truncated answer for a whole one."""
    with tls.connect() as client:
        client.sendall(get(b"Host: x", b"Connection: close"))
        received = b""
        while data := client.recv(65536):  # raises if the connection ends without close_notify
            received += data
        assert received.startswith(b"HTTP/1.1 200")


def test_tls_pipelines(tls):
    with tls.connect() as client:
        client.sendall((CHAT + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY) * 3 + get(b"Host: x", b"Connection: close"))
        received = b""
        while data := client.recv(65536):
            received += data
        assert received.count(b"HTTP/1.1 200") == 4


@pytest.mark.parametrize("version, served", [
    (ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)])
@pytest.mark.filterwarnings("ignore:.*TLS:DeprecationWarning")
def test_tls_is_1_2_or_later(tls, version, served):
    context = tls.trust()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    if served:
        with tls.connect(context) as client:
            client.sendall(HEALTH)
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    else:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            tls.connect(context)


def test_tls_is_not_waited_for_and_plain_http_is_not_served(tls):
    with Wire(tls.gateway.port) as silent, Wire(tls.gateway.port) as plain:
        assert b"200" not in plain.send(HEALTH).rest()
        assert silent.rest() == b"", "the handshake has its deadline"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("goodbye", [False, True])
def test_a_hang_up_is_seen_through_tls(tls, upstream, stream, goodbye):
    upstream.hung_up.clear()
    order = {"role": "user", "content": "endless" if stream else f"slow {goodbye}"}
    body = json.dumps({"model": "mock", "stream": stream, "messages": [order]}).encode()
    client = tls.connect()
    client.sendall(CHAT + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    eventually(lambda: upstream.asked(order["content"]) > 0, "the request comes through")
    if stream:
        assert client.recv(100)
    upstream.requests.clear()
    if goodbye:
        client.settimeout(0.2)
        with contextlib.suppress(OSError):
            client.unwrap()
    client.close()
    if stream:
        assert upstream.hung_up.wait(20)
    else:
        eventually(lambda: '"status":499' in tls.gateway.log(), "the hang-up is in the log")


def test_a_stream_that_breaks_is_reset_in_tls_as_well(tls, upstream):
    upstream.may_break.clear()
    body = json.dumps({"model": "mock", "stream": True, "messages": [{"role": "user", "content": "cut it"}]}).encode()
    with tls.connect() as client:
        client.sendall(CHAT + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        received = b""
        while b" to:" not in received:
            received += client.recv(65536)
        upstream.may_break.set()
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            while data := client.recv(65536):
                received += data
        assert b'data: {"error"' in received and b"[DONE]" not in received


def test_a_renewed_certificate_is_used_and_a_bad_one_is_not(tls):
    second = make_certificate(tls.folder, "second")
    install(second, tls.folder)

    def serves(made):
        try:
            with tls.connect(tls.trust(made)) as client:
                client.sendall(HEALTH)
                return client.recv(100).startswith(b"HTTP/1.1 200")
        except ssl.SSLCertVerificationError:
            return False

    eventually(lambda: serves(second), "the new certificate is used")
    eventually(lambda: "has been reloaded" in tls.gateway.log(), "the log says so")
    (tls.folder / "key.pem").write_text("no key")
    eventually(lambda: "stays in use" in tls.gateway.log(), "the bad file is reported")
    assert serves(second)


def test_a_certificate_that_is_none_is_said_in_one_sentence(tmp_path, start_gateway, upstream):
    with pytest.raises(AssertionError, match=r"ended with 1: .*server\.tls\.certificate: /nowhere/c\.pem"):
        start_gateway([upstream_model(upstream.url)], server={"tls": {"certificate": "/nowhere/c.pem", "key": "/k.pem"}})
