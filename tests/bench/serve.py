"""What a hit costs over HTTP: requests a second from the exact tier, latency from the semantic tier among 10,000 entries.

    python tests/bench/serve.py build/release/gateway/kvasir [--entries 10000] [--seconds 5] [--rounds 5]

Needs wrk and, for the ratio, nginx (Debian packages). nginx answers a constant body of the same size; it is the limit that
a general web server sets on this machine. Both sides take turns in one run.
"""
import argparse
import http.client
import http.server
import os
import pathlib
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time

from processes import chat, completion, free_port, start_kvasir, start_nginx, wrk

WORDS = ("invoice parcel password refund warranty printer router garden bicycle camera kitchen window ticket passport museum "
         "library guitar keyboard battery charger insurance mortgage vaccine holiday airport bridge castle desert engine "
         "factory forest harbor island jacket ladder market needle orchard pencil quarry ribbon saddle temple umbrella valley "
         "wagon yard zebra anchor barrel candle dagger eagle feather goblet hammer").split()
LUA = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
"""


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two would meet delayed acknowledgements

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = completion().encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def ask(connection, question, **headers):
    connection.request("POST", "/v1/chat/completions", chat(question), {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        sys.exit(f"the gateway answered {response.status}")
    return response.getheader("x-kvasir-cache")


def embedder():
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    return os.environ.get("KVASIR_MODELS", cache + "/kvasir/models") + "/all-minilm-l6-v2"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--entries", type=int, default=10000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kvasir-bench-"))
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    more = f"embedding: {{model: '{embedder()}'}}\ncache: {{store: {{kind: embedded, path: '{folder}/data'}}}}"
    kvasir, port = start_kvasir(arguments.binary, folder, upstream.server_address[1], more)
    nginx = None
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        ask(connection, "How do I reset my password?")
        script = folder / "post.lua"
        script.write_text(LUA % chat("How do I reset my password?"))
        if shutil.which("nginx"):
            nginx_port = free_port()
            nginx = start_nginx(folder, f"server {{ listen 127.0.0.1:{nginx_port}; location / {{ return 200 '{'x' * 650}'; }} }}")
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(wrk(kvasir, port, script, arguments.seconds))
            if nginx:
                theirs.append(wrk(nginx, nginx_port, script, arguments.seconds))
        rate, cpu = (statistics.median(x[i] for x in ours) for i in (0, 1))
        print(f"exact hit: {rate:,.0f} requests/s, {cpu:.4f} CPU-s per 1,000")
        if theirs:
            peer, peer_cpu = (statistics.median(x[i] for x in theirs) for i in (0, 1))
            print(f"  nginx, constant answer: {peer:,.0f} requests/s, {peer_cpu:.4f} CPU-s per 1,000; ratio {rate / peer:.2f}")

        chooser = random.Random(1)
        for i in range(arguments.entries):
            question = f"How do I fix the {' '.join(chooser.sample(WORDS, 3))} in room {i}?"
            ask(connection, question, **{"Cache-Control": "no-cache"})
        times, tiers = [], {}
        names = chooser.sample(WORDS, 40)
        for name in names:
            ask(connection, f"Where can I buy a new {name}?")
        for _ in range(arguments.rounds):
            for name in names:
                start = time.perf_counter()
                tier = ask(connection, f"Where could I buy a new {name}?")
                if tier == "semantic":
                    times.append(1000 * (time.perf_counter() - start))
                tiers[tier] = tiers.get(tier, 0) + 1
        if not times:
            sys.exit(f"no semantic hit: {tiers}")
        print(f"semantic hit among {arguments.entries:,} entries: p50 {statistics.median(times):.2f} ms, "
              f"p99 {sorted(times)[int(len(times) * 0.99)]:.2f} ms ({tiers})")
    finally:
        for process in filter(None, (kvasir, nginx)):
            process.terminate()
            process.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
