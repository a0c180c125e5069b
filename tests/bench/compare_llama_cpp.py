"""Prefill and decode speed of the engine against llama.cpp on the same file, alternating in one run.

    python tests/bench/compare_llama_cpp.py build/release/gateway/kvasir MODEL.gguf [--rounds 5]

Needs the PyPI package llama-cpp-python. Prints medians and the ratio ours / theirs; CONTRIBUTING says what to expect.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

WORDS = "time water house light paper river music stone green night world money story table train voice".split()


def ours(binary, model, prompt, generate, threads):
    command = [binary, "bench", "engine", "--model", model, "--prompt", str(prompt), "--generate", str(generate),
               "--runs", "1", "--threads", str(threads)]
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    result = json.loads(line)
    return result["prefill_tokens_per_s"], result["decode_tokens_per_s"], result["prompt_tokens"]


def theirs(model, prompt, generate, threads):
    """Runs in a process of its own, as ours does."""
    command = [sys.executable, __file__, "--peer", model, str(prompt), str(generate), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("the llama.cpp side failed:\n" + done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def peer(model, prompt, generate, threads):
    from llama_cpp import Llama
    llama = Llama(model, n_ctx=8192, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    chooser = random.Random(time.time_ns())
    text = " ".join(chooser.choice(WORDS) for _ in range(prompt + 30))
    tokens = llama.tokenize(text.encode(), add_bos=False)[:prompt]
    start = time.perf_counter()
    llama.eval(tokens)
    prefill = len(tokens) / (time.perf_counter() - start)
    token = llama.sample(temp=0)
    start = time.perf_counter()
    for _ in range(generate - 1):
        llama.eval([token])
        token = llama.sample(temp=0)
    decode = (generate - 1) / (time.perf_counter() - start)
    print(json.dumps([prefill, decode]))


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--peer":
        return peer(sys.argv[2], *map(int, sys.argv[3:6]))
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompts", default="64,512,1024,2048")
    arguments = parser.parse_args()
    print(f"{'prompt':>7} {'':>8} {'ours':>9} {'llama.cpp':>10} {'ratio':>6}   tokens/s, medians of {arguments.rounds}")
    for prompt in map(int, arguments.prompts.split(",")):
        mine, other = [], []
        for _ in range(arguments.rounds):
            prefill, decode, tokens = ours(arguments.binary, arguments.model, prompt, 64, arguments.threads)
            mine.append((prefill, decode))
            other.append(theirs(arguments.model, tokens, 64, arguments.threads))
        for index, lane in enumerate(("prefill", "decode")):
            a = statistics.median(x[index] for x in mine)
            b = statistics.median(x[index] for x in other)
            print(f"{prompt:>7} {lane:>8} {a:>9.1f} {b:>10.1f} {a / b:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
