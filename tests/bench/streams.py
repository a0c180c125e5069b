"""What running streams feel of others: a long prompt beside them, a busy process beside the engine, a prefix they share.

    python tests/bench/streams.py build/release/gateway/kvasir MODEL.gguf [--rounds 5]

Every ratio is of two sides that took turns in one run, over HTTP; medians of the rounds. Nothing is guessed and nothing comes
from the response cache: each token is a step of the model.
"""
import argparse
import http.client
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from processes import start_kvasir

WORDS = "time water house light paper river music stone green night world money story table train voice".split()
NO_END = {"0": -100, "2": -100}  # SmolLM2's <|endoftext|> and <|im_end|>: answers go on to max_tokens
chooser = random.Random(7)


def words(count):
    return " ".join(chooser.choice(WORDS) for _ in range(count))


class Stream(threading.Thread):
    """One answer, streamed: when each of its tokens came."""

    def __init__(self, port, system, question, tokens):
        super().__init__(daemon=True)
        self.body = json.dumps({"model": "local", "stream": True, "max_tokens": tokens, "temperature": 0, "logit_bias": NO_END,
                                "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}]})
        self.port = port
        self.times = []
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        self.sent = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", self.body, {"Content-Type": "application/json",
                                                                       "Cache-Control": "no-cache, no-store"})
        response = connection.getresponse()
        if response.status != 200:
            print(response.read().decode(), file=sys.stderr)
            return
        while line := response.readline():
            if line.startswith(b"data: {") and b'"content":"' in line and b'"content":""' not in line:
                self.times.append(time.perf_counter())

    def wait_for(self, tokens):
        while len(self.times) < tokens and self.is_alive():
            time.sleep(0.002)
        return self

    def first(self):
        self.join()
        return self.times[0] - self.sent

    def rate(self):
        self.join()
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


def p99(values):
    return sorted(values)[int(len(values) * 0.99)]


def beside_a_long_prompt(port, rounds):
    calm, median, worst, whole_median, whole_worst, reading = [], [], [], [], [], []
    for _ in range(rounds):
        streams = [Stream(port, "You tell stories.", "A long story about " + words(20), 400) for _ in range(4)]
        for stream in streams:
            stream.wait_for(60)
        prompt = Stream(port, words(4000), "Say something.", 1).wait_for(1)
        if not prompt.times:
            sys.exit("the long prompt was not answered")
        gaps, before, every = [], [], []
        for stream in streams:
            stream.join()
            for a, b in zip(stream.times[10:], stream.times[11:]):
                every.append(b - a)
                (before if b < prompt.sent else gaps if a < prompt.times[0] else []).append(b - a)
        calm.append(statistics.median(before))
        median.append(statistics.median(gaps))
        worst.append(p99(gaps))
        whole_median.append(statistics.median(every))
        whole_worst.append(p99(every))
        reading.append(prompt.times[0] - prompt.sent)
    ms = lambda values: 1000 * statistics.median(values)
    print(f"4 streams beside a prompt of 4,000 tokens (read in {statistics.median(reading):.2f} s): between tokens, median before "
          f"{ms(calm):.1f} ms; beside it median {ms(median):.1f} ms, p99 {ms(worst):.1f} ms, "
          f"ratio {statistics.median(w / m for w, m in zip(worst, median)):.2f}; over the whole streams median "
          f"{ms(whole_median):.1f} ms, p99 {ms(whole_worst):.1f} ms, "
          f"ratio {statistics.median(w / m for w, m in zip(whole_worst, whole_median)):.2f}", flush=True)


def beside_a_busy_process(port, rounds):
    ratios = []
    for _ in range(rounds):
        idle = Stream(port, "You tell stories.", "A long story about " + words(20), 150).rate()
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            ratios.append(Stream(port, "You tell stories.", "A long story about " + words(20), 150).rate() / idle)
        finally:
            busy.kill()
            busy.wait()
    print(f"decode with one core taken by a busy process: {statistics.median(ratios):.2f} of its idle speed "
          f"(lowest {min(ratios):.2f})", flush=True)


def eight_streams(port, rounds):
    ratios, rates = [], []
    for _ in range(rounds):
        alone = Stream(port, "You tell stories.", "A story about " + words(100), 128).rate()
        streams = [Stream(port, "You tell stories.", "A story about " + words(100), 128) for _ in range(8)]
        for stream in streams:
            stream.join()
        begun = max(stream.times[0] for stream in streams)
        ended = min(stream.times[-1] for stream in streams)
        tokens = sum(begun < t <= ended for stream in streams for t in stream.times)
        rates.append(tokens / (ended - begun))
        ratios.append(rates[-1] / alone)
    print(f"8 streams: {statistics.median(rates):.0f} tokens/s in all, {statistics.median(ratios):.2f} x one stream", flush=True)


def behind_a_shared_prefix(port, rounds):
    ratios, cold = [], []
    for _ in range(rounds):
        shared = words(1010)
        cold.append(Stream(port, shared, words(64), 1).first())
        warm = Stream(port, shared, words(64), 1).first()
        alone = Stream(port, words(3), words(64), 1).first()
        ratios.append((warm, alone))
    print(f"first token behind a shared prefix of 1,024 tokens: {1000 * statistics.median(w for w, _ in ratios):.1f} ms "
          f"(cold {1000 * statistics.median(cold):.0f} ms); the new part alone {1000 * statistics.median(a for _, a in ratios):.1f} ms; "
          f"ratio {statistics.median(w / a for w, a in ratios):.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lanes", default="prompt,busy,eight,prefix")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kvasir-bench-"))
    more = f"cache: {{exact: {{enabled: false}}, semantic: {{enabled: false}}, store: {{path: '{folder}/data'}}}}"
    model = f"  - {{name: local, engine: {{gguf: '{arguments.model}', speculation: {{max_tokens: 0}}}}}}"
    kvasir, port = start_kvasir(arguments.binary, folder, 9, more, models=model)
    lanes = {"prompt": beside_a_long_prompt, "busy": beside_a_busy_process, "eight": eight_streams,
             "prefix": behind_a_shared_prefix}
    try:
        Stream(port, "Warm.", "Up.", 20).join()
        for lane in arguments.lanes.split(","):
            lanes[lane](port, arguments.rounds)
    finally:
        kvasir.terminate()
        kvasir.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
