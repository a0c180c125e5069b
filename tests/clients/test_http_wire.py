"""Bytes on the wire: what is HTTP is answered, what is not gets one error and the end of the connection (RFC 9112)."""

import gzip
import json

import pytest

from gateway_process import upstream_model
from wire import BODY, CHAT, Wire, get

SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
MAX_BODY, MAX_HEADERS = 64 << 10, 16 << 10


@pytest.fixture(scope="module")
def gateway(start_gateway, upstream):
    server = {"max_body_bytes": MAX_BODY, "max_header_bytes": MAX_HEADERS, "header_timeout": "1s", "body_timeout": "1s"}
    return start_gateway([upstream_model(upstream.url)], server=server)


@pytest.fixture
def wire(gateway):
    with Wire(gateway.port) as wire:
        yield wire


def chunked(*chunks):
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def with_length(value, body=BODY):
    return CHAT + b"Content-Length: " + value + b"\r\n\r\n" + body


def with_chunk(line):
    return CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + line


HOSTILE = {
    "not HTTP": (b"hello\r\n\r\n", 400),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "no method": (b" / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a method that is no token": (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a method with a NUL": (b"GE\0T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two spaces in front of the target": (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two spaces in front of the version": (b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a tab in the request line": (b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a space behind the version": (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    "a word behind the version": (b"GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", 400),
    "a version in small letters": (b"GET / http/1.1\r\nHost: x\r\n\r\n", 400),
    "a version of three digits": (b"GET / HTTP/1.11\r\nHost: x\r\n\r\n", 400),
    "a version without a dot": (b"GET / HTTP/11\r\nHost: x\r\n\r\n", 400),
    "another protocol": (b"GET / ICAP/1.0\r\nHost: x\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n", 505),
    "HTTP/2.0": (get(b"Host: x", version=b"2.0"), 505),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/3.0": (get(b"Host: x", version=b"3.0"), 505),
    "a target that is no path": (get(b"Host: x", path=b"health/live"), 400),
    "a target with a fragment": (get(b"Host: x", path=b"/health/live#x"), 400),
    "a target with a control character": (get(b"Host: x", path=b"/health/\x01live"), 400),
    "a target with DEL": (get(b"Host: x", path=b"/health/\x7flive"), 400),
    "a target that is not ASCII": (get(b"Host: x", path=b"/health/\xe9"), 400),
    "a target with half a percent escape": (get(b"Host: x", path=b"/health/%4"), 400),
    "a target with a bad percent escape": (get(b"Host: x", path=b"/health/%zz"), 400),
    "a target with an escaped NUL": (get(b"Host: x", path=b"/health/%00"), 400),
    "a target that is not UTF-8": (get(b"Host: x", path=b"/health/%ff"), 400),
    "an absolute target of another scheme": (get(b"Host: x", path=b"ftp://x/health/live"), 400),
    "an absolute target without a host": (get(b"Host: x", path=b"http:///health/live"), 400),
    "an absolute target with a user": (get(b"Host: x", path=b"http://user@x/health/live"), 400),
    "an asterisk without OPTIONS": (get(b"Host: x", path=b"*"), 400),
    "CONNECT": (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", 400),
    "a request line that never ends": (b"GET /" + b"a" * (20 << 10), 414),
    "a target that is too long": (get(b"Host: x", path=b"/" + b"a" * (9 << 10)), 414),
    "bare LF in the request line": (b"GET /health/live HTTP/1.1\nHost: x\r\n\r\n", 400),
    "bare LF behind a header": (b"GET /health/live HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
    "bare LF as the end": (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\n", 400),
    "nothing but bare LF": (b"GET /health/live HTTP/1.1\nHost: x\n\n", 400),
    "bare CR in a header": (get(b"Host: x", b"X: a\rb"), 400),
    "bare CR in the request line": (b"GET /health/live\r HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two CR": (b"GET /health/live HTTP/1.1\r\r\nHost: x\r\n\r\n", 400),
    "obs-fold": (get(b"Host: x", b"X: a", b" b"), 400),
    "obs-fold with a tab": (get(b"Host: x", b"X: a", b"\tb"), 400),
    "space in front of the first header": (get(b" Host: x"), 400),
    "space in front of a colon": (get(b"Host: x", b"Content-Length : 0"), 400),
    "a tab in front of a colon": (get(b"Host: x", b"X\t: 0"), 400),
    "a header without a colon": (get(b"Host: x", b"X"), 400),
    "a header without a name": (get(b"Host: x", b": y"), 400),
    "a header whose name is no token": (get(b"Host: x", b"X(y): z"), 400),
    "a header whose name is not ASCII": (get(b"Host: x", b"X\xe9: z"), 400),
    "NUL in a header's value": (get(b"Host: x", b"X: a\0b"), 400),
    "NUL in a header's name": (get(b"Host: x", b"X\0: b"), 400),
    "a control character in a value": (get(b"Host: x", b"X: a\x0bb"), 400),
    "DEL in a value": (get(b"Host: x", b"X: a\x7fb"), 400),
    "no Host": (get(), 400),
    "two Hosts": (get(b"Host: x", b"Host: x"), 400),
    "two Hosts in HTTP/1.0": (get(b"Host: x", b"Host: y", version=b"1.0"), 400),
    "a Host that is a list": (get(b"Host: x, y"), 400),
    "a Host with a path": (get(b"Host: x/y"), 400),
    "a Host with a user": (get(b"Host: u@x"), 400),
    "a Host with a bad port": (get(b"Host: x:80a"), 400),
    "a header that is too long": (get(b"Host: x", b"X: " + b"a" * MAX_HEADERS), 431),
    "headers that never end": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * MAX_HEADERS, 431),
    "too many headers": (get(b"Host: x", *[b"X: y"] * 200), 431),
    "both lengths": (CHAT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "both lengths, the other way round": (CHAT + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "Content-Length twice": (CHAT + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "Content-Lengths that differ": (CHAT + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    "Content-Length as a list": (with_length(b"5, 5"), 400),
    "Content-Length with plus": (with_length(b"+5"), 400),
    "Content-Length with minus": (with_length(b"-5"), 400),
    "Content-Length in hexadecimal": (with_length(b"0x5"), 400),
    "Content-Length with a fraction": (with_length(b"5.0"), 400),
    "Content-Length with a space": (with_length(b"5 5"), 400),
    "Content-Length of letters": (with_length(b"five"), 400),
    "Content-Length of nothing": (with_length(b""), 400),
    "Content-Length beyond 64 bits": (with_length(b"18446744073709551617"), 400),
    "Content-Length of a hundred digits": (with_length(b"9" * 100), 400),
    "Content-Length of other digits": (with_length("٥".encode()), 400),
    "Content-Length beyond the bound": (with_length(b"%d" % (MAX_BODY + 1)), 413),
    "Content-Length that a signed number cannot hold": (with_length(b"18446744073709551615"), 413),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked that is not last": (CHAT + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (CHAT + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in two lines": (CHAT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "almost chunked": (CHAT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in quotes": (CHAT + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 400),
    "chunked with a vertical tab": (CHAT + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "identity": (CHAT + b"Transfer-Encoding: identity\r\n\r\n", 400),
    "an empty Transfer-Encoding": (CHAT + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    "an unknown transfer coding": (CHAT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "an unknown transfer coding in a line of its own":
        (CHAT + b"Transfer-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    "a chunk of no size": (with_chunk(b"\r\nhello\r\n"), 400),
    "a chunk size with 0x": (with_chunk(b"0x5\r\nhello\r\n"), 400),
    "a chunk size with plus": (with_chunk(b"+5\r\nhello\r\n"), 400),
    "a chunk size with minus": (with_chunk(b"-5\r\nhello\r\n"), 400),
    "a chunk size with a space in front": (with_chunk(b" 5\r\nhello\r\n"), 400),
    "a chunk size with a space behind": (with_chunk(b"5 \r\nhello\r\n"), 400),
    "a chunk size with an underscore": (with_chunk(b"1_0\r\nhello\r\n"), 400),
    "a chunk size that is no number": (with_chunk(b"g\r\nhello\r\n"), 400),
    "a chunk size beyond 64 bits": (with_chunk(b"10000000000000005\r\nhello\r\n"), 400),
    "a chunk size of many zeros": (with_chunk(b"0" * 30 + b"5\r\nhello\r\n"), 400),
    "a chunk size that a signed number cannot hold": (with_chunk(b"ffffffffffffffff\r\nhello\r\n"), 413),
    "a chunk size that ends with bare LF": (with_chunk(b"5\nhello\r\n"), 400),
    "a chunk size with NUL": (with_chunk(b"5\0\r\nhello\r\n"), 400),
    "a chunk without its CR LF": (with_chunk(b"5\r\nhello0\r\n\r\n"), 400),
    "a chunk that ends with bare LF": (with_chunk(b"5\r\nhello\n0\r\n\r\n"), 400),
    "a chunk longer than it says": (with_chunk(b"4\r\nhello\r\n0\r\n\r\n"), 400),
    "an extension without a name": (with_chunk(b"5;\r\nhello\r\n"), 400),
    "an extension with bare LF": (with_chunk(b"5;a\nb\r\nhello\r\n"), 400),
    "an extension with bare CR": (with_chunk(b"5;a\rb\r\nhello\r\n"), 400),
    "an extension whose quotes do not end": (with_chunk(b'5;a="b\r\nhello\r\n'), 400),
    "an extension that never ends": (with_chunk(b"5;" + b"a" * (32 << 10)), 431),
    "a chunk beyond the bound": (with_chunk(b"%x\r\n" % (MAX_BODY + 1)), 413),
    "chunks beyond the bound": (chunked(*[b"x" * (16 << 10)] * 5), 413),
    "a trailer without a colon": (with_chunk(b"0\r\nX\r\n\r\n"), 400),
    "a trailer with space in front of its colon": (with_chunk(b"0\r\nX : y\r\n\r\n"), 400),
    "a trailer with bare LF": (with_chunk(b"0\r\nX: y\n\r\n"), 400),
    "a folded trailer": (with_chunk(b"0\r\nX: y\r\n z\r\n\r\n"), 400),
    "trailers that never end": (with_chunk(b"0\r\n" + b"X: y\r\n" * MAX_HEADERS), 431),
    "an unknown expectation": (CHAT + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\n", 417),
    "an unknown content coding": (CHAT + b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\n", 415),
    "two content codings": (CHAT + b"Content-Encoding: gzip, gzip\r\nContent-Length: 5\r\n\r\n", 415),
    "gzip that is none": (CHAT + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 400),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_http_gets_one_error_and_the_end(wire, name):
    request, status = HOSTILE[name]
    got, headers, body = wire.send(request + SMUGGLED).answer()
    assert got == status, body
    assert headers["content-type"] == "application/json" and headers["x-request-id"].startswith("req-")
    assert headers["connection"] == "close" and headers["date"]
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    assert error["type"] == "invalid_request_error"
    assert wire.rest() == b"", "what followed was answered"


LEGAL = {
    "a plain request": (get(b"Host: x"), 200),
    "an empty line in front": (b"\r\n" + get(b"Host: x"), 200),
    "no space behind the colon": (get(b"Host:x"), 200),
    "much space around a value": (get(b"Host: \t x \t "), 200),
    "an empty value": (get(b"Host: x", b"X:"), 200),
    "an empty Host": (get(b"Host:"), 200),
    "a value with a tab and with obs-text": (get(b"Host: x", b"X: a\tb \xe9"), 200),
    "names in any case": (get(b"hOST: x", b"cONTENT-lENGTH: 0"), 200),
    "a Host that is an IPv6 address": (get(b"Host: [::1]:8080"), 200),
    "a later minor version": (get(b"Host: x", version=b"1.2"), 200),
    "an absolute target": (get(b"Host: x", path=b"http://other:80/health/live"), 200),
    "an absolute target in capitals": (get(b"Host: x", path=b"HTTPS://x/health/live"), 200),
    "an absolute target without a path": (get(b"Host: x", path=b"http://x"), 404),
    "a query": (get(b"Host: x", path=b"/health/live?api-version=1&x=%zz"), 200),
    "an escaped path": (get(b"Host: x", path=b"/health/%6cive"), 200),
    "a GET with a body": (get(b"Host: x", b"Content-Length: 5") + b"hello", 200),
    "leading zeros in Content-Length": (with_length(b"000%d" % len(BODY)), 200),
    "a body with its length": (with_length(b"%d" % len(BODY)), 200),
    "a body in chunks": (chunked(BODY[:7], BODY[7:8], BODY[8:]), 200),
    "Chunked in capitals": (chunked(BODY).replace(b"chunked", b"CHUNKED"), 200),
    "a chunk's size in capitals, with zeros": (with_chunk(b"00%X\r\n" % len(BODY) + BODY + b"\r\n000\r\n\r\n"), 200),
    "chunk extensions": (with_chunk(b'%x;a;b=c ; d="e;f\\""\r\n' % len(BODY) + BODY + b"\r\n0;z\r\n\r\n"), 200),
    "trailers": (with_chunk(b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\nX: y\r\nContent-Length: 7\r\n\r\n"), 200),
    "a gzip body": (CHAT + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(BODY)) +
                    gzip.compress(BODY), 200),
    "a gzip body of two members in chunks":
        (chunked(gzip.compress(BODY[:9]), gzip.compress(BODY[9:])).replace(b"\r\n\r\n", b"\r\nContent-Encoding: x-gzip\r\n\r\n", 1), 200),
    "a body that is identity": (CHAT + b"Content-Encoding: identity\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, 200),
    "an unknown path": (get(b"Host: x", path=b"/nowhere"), 404),
    "an unknown method": (b"BREW /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "a method in small letters": (b"get /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "TRACE": (b"TRACE /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 405),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_http_is_answered_and_the_connection_goes_on(wire, name):
    request, status = LEGAL[name]
    got, headers, body = wire.send(request + SMUGGLED).answer()
    assert got == status, body
    assert "connection" not in headers
    got, headers, _ = wire.answer()
    assert (got, headers["x-request-id"]) == (200, "smuggled"), "it was a request of its own this time"


def test_a_request_may_come_byte_by_byte(wire):
    for byte in chunked(BODY[:20], BODY[20:]) + get(b"Host: x"):
        wire.send(bytes([byte]))
    assert wire.answer()[0] == 200
    assert wire.answer()[0] == 200


@pytest.mark.parametrize("version, connection, stays", [
    (b"1.1", None, True), (b"1.1", b"close", False), (b"1.1", b"x, Close", False), (b"1.1", b"keep-alive", True),
    (b"1.0", None, False), (b"1.0", b"Keep-Alive", True), (b"1.0", b"keep-alive, close", False),
])
def test_the_connection_stays_as_asked(wire, version, connection, stays):
    lines = [b"Host: x"] + ([b"Connection: " + connection] if connection else [])
    status, headers, _ = wire.send(get(*lines, version=version) + get(b"Host: x")).answer()
    assert status == 200
    assert headers.get("connection") == ("close" if not stays else "keep-alive" if version == b"1.0" else None)
    if stays:
        assert wire.answer()[0] == 200
    else:
        assert wire.rest() == b""


def test_http_1_0_gets_a_stream_that_ends_with_its_connection(wire):
    body = BODY.replace(b"hello", b"from long ago")[:-1] + b',"stream":true}'
    request = b"POST /v1/chat/completions HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(body)
    status, headers, _ = wire.send(request + body).answer()
    assert status == 200 and headers["connection"] == "close"
    assert "transfer-encoding" not in headers
    assert wire.rest().endswith(b"data: [DONE]\n\n")


def test_head_is_get_without_its_body(wire):
    head = b"HEAD /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    status, headers, _ = wire.send(head + get(b"Host: x", path=b"/v1/models")).answer("HEAD")
    assert status == 200 and int(headers["content-length"]) > 0
    status, same, body = wire.answer()
    assert status == 200 and same["content-length"] == headers["content-length"] == str(len(body))
    status, headers, _ = wire.send(b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").answer("HEAD")
    assert status == 404
    assert wire.send(get(b"Host: x")).answer()[0] == 200


@pytest.mark.parametrize("path, methods", [
    (b"/v1/chat/completions", {"POST", "OPTIONS"}), (b"/v1/models", {"GET", "HEAD", "OPTIONS"}),
    (b"/v1/models/mock", {"GET", "HEAD", "OPTIONS"}), (b"/health/live", {"GET", "HEAD", "OPTIONS"}),
])
def test_a_path_says_which_methods_it_knows(wire, path, methods):
    status, headers, body = wire.send(b"DELETE " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n").answer()
    assert status == 405 and set(headers["allow"].split(", ")) == methods
    assert json.loads(body)["error"]["code"] == "method_not_allowed"
    status, headers, body = wire.send(b"OPTIONS " + path + b" HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\n\r\n").answer()
    assert status == 204 and set(headers["allow"].split(", ")) == methods
    assert "content-length" not in headers and not any(name.startswith("access-control") for name in headers)
    status, headers, _ = wire.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").answer()
    assert status == 204 and "POST" in headers["allow"]


def test_who_expects_100_continue_gets_it_before_the_body(wire):
    wire.send(CHAT + b"Expect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
    assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
    assert wire.send(BODY).answer()[0] == 200
    assert wire.send(CHAT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY).answer()[0] == 200
    old = CHAT.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    assert wire.send(old + BODY).answer()[0] == 200


def test_who_expects_100_continue_for_too_much_gets_no_such_thing(wire):
    wire.send(CHAT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1))
    assert wire.answer()[0] == 413
    assert wire.rest() == b""


@pytest.mark.parametrize("half", [b"GET /health/live HTTP/1.1\r\nHost:", with_length(b"100", b"{"), with_chunk(b"5\r\nhe")])
def test_a_request_that_does_not_arrive_in_time_gets_408(wire, half):
    status, headers, body = wire.send(half).answer()
    assert status == 408 and json.loads(body)["error"]["code"] == "request_timeout"
    assert headers["connection"] == "close" and wire.rest() == b""


def test_a_body_that_drips_is_not_waited_for(wire):
    """Each byte comes in time, the body does not."""
    wire.send(with_length(b"60000", b"{"))
    wire.socket.settimeout(0.1)
    for _ in range(200):
        try:
            wire.more()
            break
        except TimeoutError:
            wire.send(b" ")
    wire.socket.settimeout(20)
    assert wire.answer()[0] == 408


def test_a_gzip_bomb_is_left_when_it_is_too_large(wire):
    bomb = gzip.compress(b" " * (60 << 20))
    assert len(bomb) < MAX_BODY
    request = CHAT + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    status, headers, _ = wire.send(request + SMUGGLED).answer()
    assert status == 413 and headers["connection"] == "close" and wire.rest() == b""


@pytest.mark.parametrize("damaged", [
    gzip.compress(BODY)[:-1], gzip.compress(BODY) + b"x", gzip.compress(BODY)[:-5] + b"\0\0\0\0\0", b"",
])
def test_gzip_that_is_not_whole_is_refused(wire, damaged):
    request = CHAT + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(damaged) + damaged
    assert wire.send(request).answer()[0] == 400


def test_an_unknown_content_coding_says_which_is_known(wire):
    status, headers, _ = wire.send(CHAT + b"Content-Encoding: zstd\r\nContent-Length: 1\r\n\r\n").answer()
    assert status == 415 and headers["accept-encoding"] == "gzip"
