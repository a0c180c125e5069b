#!/usr/bin/env python3
"""How fast texts become vectors, beside onnxruntime with the same fp32 weights, turn by turn in one run.

    python3 tests/bench/embed.py build/release/embed/embed_bench MODEL_FOLDER [--rounds 5] [--smoke]

Needs numpy, onnx, onnxruntime and safetensors from PyPI. MODEL_FOLDER is all-MiniLM-L6-v2 as deploy/fetch_models.sh
has it; its weights are written as an ONNX graph with the queries, keys and values in one product, Gelu and
LayerNormalization as one operator each, and no padding: what onnxruntime is fast with. Prints milliseconds (medians
over the rounds) and ratios; above 1, Kvasir is faster.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

OPSET = 20


class Graph:
    """Nodes and weights of a graph that grows one operator at a time."""

    def __init__(self):
        self.nodes = []
        self.weights = []

    def weight(self, value):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(numpy.asarray(value, order="C"), name))
        return name

    def op(self, kind, *inputs, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def export(folder):
    """The encoder up to the normalised mean, as the bytes of an ONNX model: ids [texts, tokens] to vectors."""
    config = json.loads((folder / "config.json").read_text())
    tensors = {name.removeprefix("bert."): value for name, value in load_file(folder / "model.safetensors").items()}
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    width = hidden // heads
    g = Graph()

    def linear(x, *names):
        matrix = numpy.concatenate([tensors[name + ".weight"] for name in names]).T
        bias = numpy.concatenate([tensors[name + ".bias"] for name in names])
        return g.op("Add", g.op("MatMul", x, g.weight(matrix)), g.weight(bias))

    def norm(x, name):
        return g.op("LayerNormalization", x, g.weight(tensors[name + ".weight"]), g.weight(tensors[name + ".bias"]),
                    epsilon=config["layer_norm_eps"], axis=-1)

    ints = lambda *values: g.weight(numpy.array(values, numpy.int64))
    length = g.op("Slice", g.op("Shape", "ids"), ints(1), ints(2))
    positions = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    words = g.op("Gather", g.weight(tensors["embeddings.word_embeddings.weight"]), "ids")
    x = norm(g.op("Add", words, g.op("Slice", g.weight(positions), ints(0), length)), "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}."
        own = name + "attention.self."
        qkv = g.op("Reshape", linear(x, own + "query", own + "key", own + "value"), ints(0, 0, 3, heads, width))
        part = lambda i, order: g.op("Transpose", g.op("Gather", qkv, g.weight(numpy.array(i, numpy.int64)), axis=2),
                                     perm=order)
        scale = g.weight(numpy.array(1 / numpy.sqrt(width), numpy.float32))
        scores = g.op("Mul", g.op("MatMul", part(0, [0, 2, 1, 3]), part(1, [0, 2, 3, 1])), scale)
        read = g.op("MatMul", g.op("Softmax", scores, axis=-1), part(2, [0, 2, 1, 3]))
        read = g.op("Reshape", g.op("Transpose", read, perm=[0, 2, 1, 3]), ints(0, 0, hidden))
        x = norm(g.op("Add", x, linear(read, name + "attention.output.dense")), name + "attention.output.LayerNorm")
        inner = g.op("Gelu", linear(x, name + "intermediate.dense"))
        x = norm(g.op("Add", x, linear(inner, name + "output.dense")), name + "output.LayerNorm")
    mean = g.op("ReduceMean", x, ints(1), keepdims=0)
    g.nodes.append(helper.make_node("LpNormalization", [mean], ["vectors"], axis=-1, p=2))
    graph = helper.make_graph(
        g.nodes, "bert", [helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "tokens"])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", hidden])], g.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def session_of(model, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def peer_milliseconds(session, texts, tokens, calls):
    ids = numpy.tile(2000 + numpy.arange(tokens, dtype=numpy.int64), (texts, 1))
    times = []
    for _ in range(calls + max(1, calls // 10)):
        start = time.perf_counter()
        vectors = session.run(None, {"ids": ids})[0]
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[-calls:]), vectors[0]


def own_milliseconds(binary, folder, threads, texts, tokens, calls):
    output = subprocess.run([binary, "--case", str(texts), str(tokens), str(calls), folder, str(threads)], check=True,
                            capture_output=True, text=True).stdout.splitlines()
    return float(output[0]), numpy.array(output[1].split(), numpy.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="one short round, to see that it runs")
    arguments = parser.parse_args()
    rounds = 1 if arguments.smoke else arguments.rounds
    model = export(arguments.folder)
    for threads in [1] if arguments.smoke else [1, 2]:
        session = session_of(model, threads)
        for texts, tokens, calls in [(1, 12, 20)] if arguments.smoke else [(1, 12, 200), (32, 128, 2)]:
            own, peer = [], []
            for _ in range(rounds):
                time_own, vector = own_milliseconds(arguments.binary, arguments.folder, threads, texts, tokens, calls)
                time_peer, expected = peer_milliseconds(session, texts, tokens, calls)
                own.append(time_own)
                peer.append(time_peer)
            ratios = sorted(b / a for a, b in zip(own, peer))
            print(f"{texts:2} x {tokens:3} tokens, {threads} threads: kvasir {statistics.median(own):8.3f} ms, "
                  f"onnxruntime fp32 {statistics.median(peer):8.3f} ms, ratio {statistics.median(ratios):.2f} "
                  f"({ratios[0]:.2f} to {ratios[-1]:.2f}), cosine {float(vector @ expected):.6f}", flush=True)


if __name__ == "__main__":
    main()
