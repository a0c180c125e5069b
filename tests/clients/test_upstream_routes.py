"""Several upstreams for a model, and the ways to reach one: TLS, a proxy. What passes on the way, and what never does."""

import base64
import http.server
import json
import socket
import ssl
import subprocess
import threading

import openai
import pytest

from gateway_process import free_port
from mock_upstream import MockUpstream

CALLER_KEY = "sk-of-the-caller"
UPSTREAM_KEY = "sk-of-the-upstream"
PROXY_PASSWORD = "open-sesame"


def question(client, text, model="m", **options):
    return client.chat.completions.create(
        model=model, temperature=0, messages=[{"role": "user", "content": text}], **options).choices[0].message.content


def models(*upstreams, **settings):
    return [{"name": "m", "upstreams": list(upstreams), **settings}]


def nobody():
    return f"http://127.0.0.1:{free_port()}/v1"


@pytest.fixture
def mock():
    server = MockUpstream()
    yield server
    server.close()


class Recorder(http.server.BaseHTTPRequestHandler):
    """Answers every request, remembers its target and headers; as a proxy it opens tunnels too."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        session = getattr(self.connection, "session_reused", None)
        self.server.seen.append((self.command, self.path, dict(self.headers), session))
        message = {"role": "assistant", "content": f"from {self.server.name}"}
        body = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "theirs",
                           "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if self.server.hang_up:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self):
        self.server.seen.append((self.command, self.path, dict(self.headers), None))
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self.pump, args=(upstream, self.connection), daemon=True)
            back.start()
            self.pump(self.connection, upstream)
            back.join()
        self.close_connection = True

    def pump(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, name, tls=None, hang_up=False):
        super().__init__(("127.0.0.1", 0), Recorder)
        self.name, self.seen, self.hang_up = name, [], hang_up
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        pass  # a handshake that the gateway has refused


@pytest.fixture
def serve():
    servers = []

    def serve(name, **options):
        servers.append(Server(name, **options))
        return servers[-1]

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key) for up.example, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=up.example", "-addext", "subjectAltName=DNS:up.example", "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True)
    return tuple(map(str, files))


def test_the_next_upstream_serves_when_the_first_is_gone(start_gateway, mock):
    gateway = start_gateway(models({"base_url": nobody()}, {"base_url": mock.url, "priority": 1}))
    client = gateway.client()
    for number in range(20):
        assert question(client, f"who serves {number}?") == f"Answer to: who serves {number}?"
    metrics = gateway.admin("GET", "/metrics").text
    states = [line for line in metrics.splitlines() if line.startswith("kvasir_upstream_breaker_state{")]
    assert [line.rsplit(" ", 1)[1] for line in states] == ["2", "0"]  # open, closed
    assert 'kind="unreachable"} 5\n' in metrics
    gateway.stop()
    assert {line["upstream"] for line in gateway.requests_logged()} == {mock.url.split("/")[2]}  # who answered


def test_a_stream_moves_to_another_upstream_before_its_first_byte_only(start_gateway, mock):
    gateway = start_gateway(models({"base_url": nobody()}, {"base_url": mock.url, "priority": 1}))
    chunks = gateway.client().chat.completions.create(
        model="m", stream=True, messages=[{"role": "user", "content": "flow"}])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Answer to: flow"
    mock.may_break.set()
    with pytest.raises(openai.APIError):
        list(gateway.client().chat.completions.create(
            model="m", stream=True, messages=[{"role": "user", "content": "cut in two"}]))
    assert mock.asked("cut in two") == 1


def test_a_conversation_stays_with_its_upstream(start_gateway, serve):
    servers = [serve(f"server {number}") for number in range(3)]
    gateway = start_gateway(models(*({"base_url": f"http://127.0.0.1:{server.port}/v1"} for server in servers)))
    client = gateway.client()
    served = set()
    for system in range(12):
        messages = [{"role": "system", "content": f"You are pirate {system}."}, {"role": "user", "content": "Ahoy?"}]
        first = client.chat.completions.create(model="m", messages=messages).choices[0].message.content
        messages += [{"role": "assistant", "content": first}, {"role": "user", "content": "And then?"}]
        assert client.chat.completions.create(model="m", messages=messages).choices[0].message.content == first
        served.add(first)
    assert len(served) > 1


def test_tls_is_verified_and_its_sessions_are_taken_up_again(start_gateway, serve, certificate):
    server = serve("tls", tls=certificate, hang_up=True)
    url = f"https://127.0.0.1:{server.port}/v1"
    upstreams = {
        "trusted": {"base_url": url, "ca_file": certificate[0], "tls_server_name": "up.example"},
        "wrong name": {"base_url": url, "ca_file": certificate[0]},
        "unknown authority": {"base_url": url, "tls_server_name": "up.example"},
    }
    gateway = start_gateway([{"name": name, "upstream": upstream} for name, upstream in upstreams.items()],
                            server={"threads": 1})
    client = gateway.client()
    for number in range(3):
        assert question(client, f"question {number}", model="trusted") == "from tls"
    assert [session for *_, session in server.seen] == [False, True, True]
    for name in ("wrong name", "unknown authority"):
        with pytest.raises(openai.APIStatusError) as error:
            question(client, "Who are you?", model=name)
        assert error.value.status_code == 502 and error.value.code == "upstream_unreachable"
    assert len(server.seen) == 3


def test_a_proxy_is_asked_in_absolute_form_or_for_a_tunnel(start_gateway, serve, certificate):
    proxy, secure = serve("proxy"), serve("tls", tls=certificate)
    through = {"proxy": f"http://me:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}"}
    gateway = start_gateway([
        {"name": "plain", "upstream": {"base_url": "http://far.example:81/v1", **through}},
        {"name": "tls", "upstream": {"base_url": f"https://127.0.0.1:{secure.port}/v1", "ca_file": certificate[0],
                                     "tls_server_name": "up.example", "api_key": UPSTREAM_KEY, **through}},
    ])
    client = gateway.client()
    assert question(client, "near?", model="plain") == "from proxy"
    assert question(client, "far?", model="tls") == "from tls"
    credentials = "Basic " + base64.b64encode(f"me:{PROXY_PASSWORD}".encode()).decode()
    (_, target, headers, _), (command, tunnel, connect_headers, _) = proxy.seen
    assert target == "http://far.example:81/v1/chat/completions" and headers["host"] == "far.example:81"
    assert (command, tunnel) == ("CONNECT", f"127.0.0.1:{secure.port}")
    assert headers["proxy-authorization"] == connect_headers["proxy-authorization"] == credentials
    assert "authorization" not in connect_headers
    assert "proxy-authorization" not in secure.seen[0][2]
    assert secure.seen[0][2]["authorization"] == f"Bearer {UPSTREAM_KEY}"
    shown = gateway.admin("GET", "/admin/config").text + gateway.log()
    assert PROXY_PASSWORD not in shown and UPSTREAM_KEY not in shown


def test_the_callers_key_and_hop_by_hop_headers_never_pass(start_gateway, serve):
    server = serve("one")
    gateway = start_gateway(models({"base_url": f"http://127.0.0.1:{server.port}/v1", "api_key": UPSTREAM_KEY}))
    question(gateway.client(key=CALLER_KEY), "Hello?", extra_headers={
        "x-request-id": "mine-1", "connection": "keep-alive, x-secret", "x-secret": "1", "cookie": "a=b", "te": "trailers",
        "proxy-authorization": "Basic abc", "forwarded": "for=1.2.3.4"})
    headers = server.seen[0][2]
    assert headers["x-request-id"] == "mine-1"
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert not {"x-secret", "cookie", "te", "proxy-authorization", "forwarded", "connection"} & set(headers)
    assert CALLER_KEY not in gateway.log() and UPSTREAM_KEY not in gateway.log()


def test_a_redirect_is_not_followed(start_gateway, mock):
    gateway = start_gateway(models({"base_url": mock.url}))
    with pytest.raises(openai.APIStatusError) as error:
        question(gateway.client(), "status 302")
    assert error.value.status_code == 502


def test_a_name_that_leads_to_this_machine_is_refused_unless_the_yaml_allows_it(start_gateway, mock):
    name = socket.gethostname()
    addresses = {info[4][0] for info in socket.getaddrinfo(name, None)} if name != "localhost" else set()
    if not addresses or not all(address.startswith(("127.", "10.", "172.", "192.168.", "::1", "fe80", "fd"))
                                for address in addresses):
        pytest.skip("this machine's name leads to no private address")
    port = mock.server_address[1]
    gateway = start_gateway(models({"base_url": f"http://{name}:{port}/v1"}))
    with pytest.raises(openai.APIStatusError) as error:
        question(gateway.client(), "inside?")
    assert error.value.status_code == 502 and error.value.code == "upstream_private_address"
    assert not mock.requests
    gateway.until_logged("private_networks")
