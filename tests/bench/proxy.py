"""What the gateway costs as a proxy, beside nginx as a proxy in front of the same upstream, in turns in one run.

    python tests/bench/proxy.py build/release/gateway/kvasir [--seconds 5] [--rounds 5] [--soak 100000]

Needs wrk, nginx and taskset (Debian packages). The proxy has core 0 for itself; load and upstream share core 1. CPU
seconds of the proxy for 1,000 requests are the figure to trust on a shared machine; rates and latencies come along.
"""
import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

from processes import chat, completion, cpu_seconds, free_port, resident_mib, start_kvasir, start_nginx, wrk

CHUNKS, GAP_SECONDS = 64, 0.002
LUA = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
%s
wrk.body = [==[%s]==]
"""
NO_STORE = 'wrk.headers["Cache-Control"] = "no-store"'
BODIES = {"0.2 KB": 120, "8 KB": 8_000, "400 KB": 400_000}


def stream_chunks():
    def chunk(delta, finish=None):
        return ("data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "mock", "choices": [
            {"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n").encode()
    return [chunk({"role": "assistant", "content": ""}), *(chunk({"content": f"word{i} "}) for i in range(CHUNKS - 2)),
            chunk({}, "stop") + b"data: [DONE]\n\n"]


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    await reader.readexactly(length)


async def serve_stream(reader, writer):
    try:
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for data in stream_chunks():
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
                await asyncio.sleep(GAP_SECONDS)
            writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def run_stream_upstream(port):
    os.sched_setaffinity(0, {1})

    async def main():
        server = await asyncio.start_server(serve_stream, "127.0.0.1", port)
        await server.serve_forever()
    asyncio.run(main())


async def read_streams(port, streams, at_once):
    """`streams` answers over `at_once` connections; each must end whole."""
    body = chat("Stream, please.", stream=True).encode()
    request = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
               b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    async def one(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(request)
            answer = await reader.readuntil(b"0\r\n\r\n")
            if b" 200 " not in answer[:20] or b"[DONE]" not in answer:
                sys.exit("a stream broke: " + answer[:300].decode())
        writer.close()
    await asyncio.gather(*(one(streams // at_once) for _ in range(at_once)))


def stream_lane(process, port, streams=500, at_once=25):
    before, start = cpu_seconds(process), time.perf_counter()
    asyncio.run(read_streams(port, streams, at_once))
    return streams / (time.perf_counter() - start), 1000 * (cpu_seconds(process) - before) / streams


def latency(port, requests=2000):
    """p50 at one connection, in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body, times = chat("How do I reset my password?"), []
    for _ in range(requests):
        start = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "Cache-Control": "no-store"})
        connection.getresponse().read()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def constant_answer(body, piece=2000):
    """nginx directives: a word of its configuration has at most 4,096 bytes."""
    text = body.decode()
    pieces = [text[i:i + piece].replace("'", "\\'").replace("\n", "\\n") for i in range(0, len(text), piece)]
    return (" ".join(f"set $piece{i} '{part}';" for i, part in enumerate(pieces))
            + " return 200 '" + "".join(f"$piece{i}" for i in range(len(pieces))) + "';")


class Table:
    def __init__(self):
        print(f"{'lane':34}{'kvasir':>12}{'nginx':>12}{'ratio':>8}   medians")

    def row(self, lane, ours, theirs, digits=3):
        print(f"{lane:34}{ours:12,.{digits}f}{theirs:12,.{digits}f}{ours / theirs:8.2f}", flush=True)


def in_turns(rounds, ours, theirs):
    """Medians of what both return, field by field."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return [tuple(statistics.median(values) for values in zip(*side)) for side in zip(*pairs)]


def run(arguments, folder, processes):
    os.sched_setaffinity(0, {1})
    plain, streaming, replay, ports = free_port(), free_port(), free_port(), [free_port() for _ in range(3)]
    processes.append(start_nginx(folder, f"""
  server {{ listen 127.0.0.1:{plain}; default_type application/json; location / {{ return 200 '{completion()}'; }} }}
  server {{ listen 127.0.0.1:{replay}; default_type text/event-stream; location / {{ {constant_answer(b"".join(stream_chunks()))} }} }}""",
                                 "upstream", 1))
    processes.append(multiprocessing.Process(target=run_stream_upstream, args=(streaming,)))
    processes[-1].start()
    servers = "".join(f"""
  upstream u{i} {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u{i}; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_buffering off; }} }}""" for i, (upstream, port) in enumerate(zip((plain, streaming, replay), ports)))
    nginx = start_nginx(folder, servers, core=0)
    processes.append(nginx)
    store = f"cache: {{store: {{kind: embedded, path: '{folder}/data'}}, semantic: {{enabled: false}}}}"
    kvasir, port = start_kvasir(arguments.binary, folder, plain, store, 0)
    processes.append(kvasir)
    empty = resident_mib(kvasir)

    table = Table()
    for name, size in BODIES.items():
        script = folder / "miss.lua"
        script.write_text(LUA % (NO_STORE, chat("How do I reset my password? " + "word " * (size // 5))))
        ours, theirs = in_turns(arguments.rounds, lambda: wrk(kvasir, port, script, arguments.seconds, core=1),
                                lambda: wrk(nginx, ports[0], script, arguments.seconds, core=1))
        table.row(f"miss {name}: CPU-s per 1,000", ours[1], theirs[1])
        table.row(f"miss {name}: requests/s", ours[0], theirs[0], 0)

    direct, ours, theirs = ([] for _ in range(3))
    for _ in range(arguments.rounds):
        direct.append(latency(plain))
        ours.append(latency(port) - direct[-1])
        theirs.append(latency(ports[0]) - direct[-1])
    table.row("added p50 at one connection, ms", statistics.median(ours), statistics.median(theirs))

    script = folder / "hit.lua"
    script.write_text(LUA % ("", chat("How do I reset my password?")))
    ours, theirs = in_turns(arguments.rounds, lambda: wrk(kvasir, port, script, arguments.seconds, core=1),
                            lambda: wrk(nginx, ports[0], script, arguments.seconds, core=1))
    table.row("exact hit: requests/s", ours[0], theirs[0], 0)
    table.row("exact hit: CPU-s per 1,000", ours[1], theirs[1])
    script.write_text(LUA % ("", chat("How do I reset my password?", stream=True)))
    ours, theirs = in_turns(arguments.rounds, lambda: wrk(kvasir, port, script, arguments.seconds, core=1),
                            lambda: wrk(nginx, ports[2], script, arguments.seconds, core=1))
    table.row("exact hit as SSE: streams/s", ours[0], theirs[0], 0)

    before, sent = resident_mib(kvasir), 0
    script.write_text(LUA % (NO_STORE, chat("How do I reset my password?")))
    while sent < arguments.soak:
        sent += wrk(kvasir, port, script, 5, core=1)[0] * 5
    grown = resident_mib(kvasir) - before
    print(f"memory: {empty:.1f} MiB with an empty cache and no engine; {grown:+.1f} MiB after {sent:,.0f} more requests")

    kvasir.terminate()
    kvasir.wait()
    kvasir, port = start_kvasir(arguments.binary, folder, streaming, store, 0)
    processes.append(kvasir)
    ours, theirs = in_turns(arguments.rounds, lambda: stream_lane(kvasir, port), lambda: stream_lane(nginx, ports[1]))
    table.row(f"SSE {CHUNKS} chunks, 2 ms apart: CPU-s", ours[1], theirs[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--soak", type=int, default=100_000)
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("this benchmark needs two cores")
    folder, processes = pathlib.Path(tempfile.mkdtemp(prefix="kvasir-bench-")), []
    try:
        run(arguments, folder, processes)
    finally:
        for process in processes:
            process.terminate()
            getattr(process, "wait", getattr(process, "join", None))()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
