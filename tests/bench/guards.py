"""How far a semantic hit can be trusted: true and false hits by category, by threshold, and what each guard buys.

    python tests/bench/guards.py build/release/tests/guard_judge EMBEDDER_FOLDER [--half report|tune] [--threshold 0.8]

Pairs: the development data in ../shared/data and this repository's own (tests/cache/data). Each pair belongs, by a hash of its
own, to the half on which guards and threshold were tuned or to the half that is reported; only examples of the tuning half are
ever shown (--show CATEGORY). A false hit is a pair that differs in meaning and would be served; intervals are Wilson's, 95 %.
"""
import argparse
import collections
import hashlib
import json
import math
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PER_CATEGORY = 600
DOUBTFUL = {
    # Labelled as the same; but "are cars cheaper than trees" has another answer than "are trees cheaper than cars".
    "Order does not matter for comparison": lambda a, b: a.startswith("Are") and b.startswith("Are"),
}


def half_of(a, b):
    digest = hashlib.sha256("\n".join(sorted((a, b))).encode()).digest()
    return "tune" if digest[0] % 2 == 0 else "report"


def pair(source, category, a, b, same):
    return {"source": source, "category": f"{source}: {category}", "a": a, "b": b, "same": bool(same), "half": half_of(a, b)}


def own_pairs():
    for path in sorted((ROOT / "tests/cache/data").glob("guard_pairs_*.tsv")):
        language = path.stem.rsplit("_", 1)[1]
        for line in path.read_text().splitlines():
            category, same, a, b = line.split("\t")
            yield pair("own " + language, category, a, b, int(same))


def tuned_pairs():
    """Written while the guards were tuned: never reported."""
    for path in sorted((ROOT / "tests/cache/data").glob("guard_tuned_*.tsv")):
        for line in path.read_text().splitlines():
            same, a, b = line.split("\t")
            yield {**pair("own " + path.stem.rsplit("_", 1)[1], "written while tuning", a, b, int(same)), "half": "tune"}


def checklist(data):
    for line in (data / "checklist_qqp/checklist_qqp_pairs.jsonl").read_text().splitlines():
        row = json.loads(line)
        a, b = row["a"], row["b"]
        if row.get("label_suspect") or a == b or DOUBTFUL.get(row["test"], lambda *_: False)(a, b):
            continue
        yield pair("checklist", row["test"], a, b, row["label"])


def negations(data):
    for path in sorted((data / "cannot_negation").glob("*.tsv")):
        for line in path.read_text().splitlines()[1:]:
            fields = line.split("\t")
            if len(fields) == 3:
                yield pair("cannot", path.stem, fields[0], fields[1], fields[2] == "0")
            elif len(fields) == 2:
                yield pair("cannot", path.stem.rstrip("_01234"), fields[0], fields[1], False)


def intents(data, random_):
    """Queries of other intents that share many words; of the same intent, pairs that say nothing about being the same."""
    rows = json.loads((data / "clinc150/data_full.json").read_text())
    queries = rows["test"] + rows["oos_test"]
    by_word = collections.defaultdict(set)
    words = [set(text.split()) for text, _ in queries]
    for at, held in enumerate(words):
        for word in held:
            by_word[word].add(at)
    for at in random_.sample(range(len(queries)), 1500):
        score = collections.Counter()
        for word in words[at]:
            if len(by_word[word]) < 500:
                score.update({other: 1 / (1 + len(by_word[word])) for other in by_word[word]})
        for other, _ in score.most_common(20):
            if queries[other][1] != queries[at][1]:
                yield pair("clinc150", "nearest of another intent", queries[at][0], queries[other][0], False)
                break


def paragraphs(data, random_):
    """Questions about one paragraph differ; one question in two languages wants two answers."""
    asked = {}
    for language in ("en", "vi", "zh"):
        topics = json.loads((data / f"xquad/xquad.{language}.json").read_text())["data"]
        asked[language] = {qa["id"]: qa["question"] for topic in topics for p in topic["paragraphs"] for qa in p["qas"]}
        for topic in topics:
            for paragraph in topic["paragraphs"]:
                questions = [qa["question"] for qa in paragraph["qas"]]
                for i, a in enumerate(questions):
                    for b in (b for b in questions[i + 1:] if b != a):
                        yield pair(f"xquad {language}", "other question of the paragraph", a, b, False)
    for one, other in (("en", "vi"), ("en", "zh"), ("vi", "zh")):
        for key in random_.sample(sorted(asked[one]), 300):
            yield pair("xquad", f"{one} and {other}", asked[one][key], asked[other][key], False)


def rewrites(data):
    """A question of a conversation and its rewriting as a standalone one, where it was standalone already."""
    for path in sorted((data / "mtrag").glob("*_lastturn.jsonl")):
        read = lambda p: {r["_id"]: r["text"].removeprefix("|user|: ") for r in map(json.loads, p.read_text().splitlines())}
        last, rewritten = read(path), read(path.with_name(path.name.replace("lastturn", "rewrite")))
        for key, text in last.items():
            if key in rewritten and key.endswith("<::>1") and text.strip() != rewritten[key].strip():
                yield pair("mtrag", "rewritten first turn", text.strip(), rewritten[key].strip(), True)


def all_pairs(data):
    random_ = random.Random(6)
    pairs = [*own_pairs(), *tuned_pairs()]
    if data.is_dir():
        for source in (checklist(data), negations(data), intents(data, random_), paragraphs(data, random_), rewrites(data)):
            by_category = collections.defaultdict(list)
            for one in source:
                by_category[one["category"], one["same"]].append(one)
            for members in by_category.values():
                pairs += random_.sample(members, min(PER_CATEGORY, len(members)))
    else:
        print(f"{data} is not there: own pairs only", file=sys.stderr)
    return pairs


def wilson(hits, of):
    if not of:
        return 0.0, 0.0, 0.0
    z, p = 1.96, hits / of
    middle, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return p, max(0.0, (middle - spread) / (1 + z * z / of)), min(1.0, (middle + spread) / (1 + z * z / of))


def show_share(hits, of):
    p, low, high = wilson(hits, of)
    return f"{100 * p:5.1f} % [{100 * low:4.1f}, {100 * high:5.1f}] of {of}" if of else "-"


def served(row, threshold, guarded):
    return (row["seen"] or threshold <= 0) and row["cosine"] >= threshold and not (guarded and row["reason"])


def count(rows, threshold, guarded):
    return sum(served(row, threshold, guarded) for row in rows), len(rows)


def macro(groups, threshold, guarded):
    shares = [count(rows, threshold, guarded)[0] / len(rows) for rows in groups if rows]
    return sum(shares) / max(1, len(shares))


def report(rows, threshold):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["category"], row["same"]].append(row)
    differ = [group for (_, same), group in groups.items() if not same]
    alike = [group for (_, same), group in groups.items() if same]
    print("\n| threshold | cosine alone: true hits | false hits | guarded: true hits | false hits | worst category |")
    print("|---|---|---|---|---|---|")
    for t in (0.70, 0.75, 0.80, 0.85, 0.90, 0.92, 0.95, 0.97, 0.98, 0.99):
        cells = []
        for guarded in (False, True):
            true, false = sum(alike, []), sum(differ, [])
            cells += [show_share(*count(true, t, guarded)), show_share(*count(false, t, guarded))]
        worst = max(count(group, t, True)[0] / len(group) for group in differ)
        print(f"| {t:.2f} | {' | '.join(cells)} | {100 * worst:.1f} % |")
    print(f"\nAt {threshold}, by category:\n\n| category | n | same | cosine alone | guarded |\n|---|---|---|---|---|")
    for (category, same), group in sorted(groups.items(), key=lambda item: (item[0][1], item[0][0])):
        cells = [show_share(*count(group, threshold, guarded)).rsplit(" of", 1)[0] for guarded in (False, True)]
        print(f"| {category} | {len(group)} | {'yes' if same else 'no'} | {' | '.join(cells)} |")
    print("\n| guard | false hits refused | true hits lost |\n|---|---|---|")
    near = [row for row in rows if row["cosine"] >= threshold and (row["seen"] or threshold <= 0)]
    reasons = collections.Counter((row["reason"], row["same"]) for row in near)
    for reason in sorted({reason for reason, _ in reasons}):
        print(f"| {reason or '(none: served)'} | {reasons[reason, False]} | {reasons[reason, True]} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("judge")
    parser.add_argument("embedder")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--half", choices=("tune", "report"), default="report")
    parser.add_argument("--threshold", type=float, default=0.95)
    parser.add_argument("--show", metavar="CATEGORY", help="wrongly judged pairs of the tuning half")
    parser.add_argument("--memory", type=pathlib.Path, help="a file that keeps cosines between runs")
    options = parser.parse_args()
    if options.memory and options.memory.exists():
        pairs = [json.loads(line) for line in options.memory.read_text().splitlines()]
    else:
        pairs = all_pairs(options.data)
    lines = "".join(json.dumps(one) + "\n" for one in pairs)
    judged = subprocess.run([options.judge, options.embedder], input=lines, text=True, stdout=subprocess.PIPE, check=True).stdout
    if options.memory:
        options.memory.write_text(judged)
    rows = [row for row in map(json.loads, judged.splitlines())]
    if options.show is not None:
        for row in rows:
            wrong = served(row, options.threshold, True) != row["same"] and row["cosine"] >= options.threshold
            if row["half"] == "tune" and options.show in row["category"] and wrong:
                print(f'{row["category"]} {row["same"]} {row["cosine"]:.3f} {row["reason"]}\n   {row["a"]}\n   {row["b"]}')
        return
    report([row for row in rows if row["half"] == options.half], options.threshold)


if __name__ == "__main__":
    main()
