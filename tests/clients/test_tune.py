"""kvasir tune: from labelled pairs to a threshold that keeps its bound."""

import json
import pathlib
import subprocess
import xml.etree.ElementTree

import pytest

from gateway_process import BINARY, MINILM

PLACES = ["France", "Spain", "Italy", "Japan", "Peru", "Egypt", "Kenya", "Chile", "Norway", "Poland", "Vietnam", "Laos",
          "Cuba", "Mali", "Iran", "Iraq", "Oman", "Fiji", "Togo", "Chad"]
THINGS = ["capital", "currency", "population", "flag", "anthem", "president", "language", "climate", "area", "history",
          "economy", "coastline", "cuisine", "religion", "airport"]


def pairs():
    for i, place in enumerate(PLACES):
        for thing in THINGS:
            other = PLACES[(i + 1) % len(PLACES)]
            yield {"a": f"What is the {thing} of {place}?", "b": f"What's the {thing} of {place}?", "same": True,
                   "category": "contraction"}
            yield {"a": f"What is the {thing} of {place}?", "b": f"What is the {thing} of {other}?", "same": False,
                   "category": "another country"}
            yield {"a": f"What is the {thing} of {place}?", "b": f"Does {place} have a {thing}?", "same": False,
                   "category": "yes or no"}
            yield {"a": f"Describe the {thing} of {place}", "b": f"How do I bake bread with {i} eggs?", "same": False,
                   "category": "far"}


@pytest.fixture
def tune(tmp_path):
    config = tmp_path / "kvasir.yaml"
    config.write_text(json.dumps({
        "models": [{"name": "m", "upstream": {"base_url": "http://127.0.0.1:1/v1"}}], "embedding": {"model": str(MINILM)}}))

    def tune(lines, *options):
        text = lines if isinstance(lines, bytes) else "".join(json.dumps(line) + "\n" for line in lines).encode()
        (tmp_path / "pairs.jsonl").write_bytes(text)
        return subprocess.run([BINARY, "tune", "--config", config, "--pairs", tmp_path / "pairs.jsonl", *options],
                              capture_output=True, text=True, timeout=120, cwd=tmp_path)

    return tune


def test_a_threshold_is_chosen_on_one_half_and_judged_on_the_other(tune, tmp_path):
    done = tune(pairs(), "--svg", tmp_path / "curve.svg", "--json", tmp_path / "curve.json")
    assert done.returncode == 0, done.stderr
    fragment = done.stdout[done.stdout.index("cache:\n"):]
    assert "policy: guarded" in fragment
    checked = tmp_path / "tuned.yaml"
    checked.write_text("models: [{name: m, upstream: {base_url: 'http://127.0.0.1:1/v1'}}]\n" + done.stdout)
    assert subprocess.run([BINARY, "check-config", checked], timeout=60).returncode == 0
    curves = {curve["policy"]: curve for curve in json.loads((tmp_path / "curve.json").read_text())["curves"]}
    assert curves["guarded"]["chosen"] is not None
    for point in curves["guarded"]["points"]:
        for kind in ("same", "different"):
            share = point[kind]
            assert 0 <= share["low"] <= share["hits"] / share["of"] <= share["high"] <= 1
    assert xml.etree.ElementTree.parse(tmp_path / "curve.svg").getroot().tag.endswith("svg")
    assert "another country" in done.stdout and "guard_" in done.stdout
    assert tune(pairs()).stdout == done.stdout


def test_too_few_pairs_recommend_nothing(tune):
    done = tune(list(pairs())[:20])
    assert done.returncode == 0
    assert "are needed" in done.stdout and "The present setting stays" in done.stdout


@pytest.mark.parametrize("line, complaint", [
    (b"{", "pairs.jsonl:2: this is no JSON object"), (b'{"a":1,"b":"x","same":true}', "pairs.jsonl:2: 'a' must be there"),
    (b'{"a":"x","b":"x"}', "pairs.jsonl:2: 'same'"), (b'{"a":"x","b":"\xff","same":true}', "pairs.jsonl:2: "),
    (b'{"a":"x","b":"y","same":true,"category":7}', "pairs.jsonl:2: 'category'"),
])
def test_a_bad_line_is_named(tune, line, complaint):
    done = tune(b'{"a":"x","b":"y","same":true}\n' + line + b"\n")
    assert (done.returncode, done.stdout) == (1, "") and complaint in done.stderr


def test_bad_usage_says_how(tune, tmp_path):
    good = b'{"a":"x","b":"y","same":true}\n'
    assert "no pair with" in tune(good).stderr
    assert "cannot write" in tune(good + good.replace(b"true", b"false"), "--svg", "/nowhere/at/all.svg").stderr
    assert tune(good, "--max-error-rate", "2").returncode == 2
    assert tune(good, "--speed").returncode == 2
    assert subprocess.run([BINARY, "tune"], capture_output=True, timeout=60).returncode == 2
    assert not pathlib.Path(tmp_path / "all.svg").exists()
