"""Compiles WordNet 3.0 into english.inc: what the guards know about English words.

    python cache/data/make_english.py /usr/share/wordnet >cache/data/english.inc      # Debian package wordnet-base

Five sections, a line each entry; a word of several parts has '_' between them:
  irregular   FORM LEMMA               "went go"
  synonyms    WORD WORD ...            one synset; each word means it in one of its two first senses
  opposites   WORD WORD ...            a word and its direct antonyms
  qualities   WORD                     words that are adjectives or adverbs before all else
  words       WORD                     other words in use, so that "baking" is found to come from "bake"
"""
import collections
import pathlib
import re
import sys

PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
WORD = re.compile(r"[a-z]+(?:_[a-z]+)?$")
SENSES = 2


def read(folder):
    counts = {}
    for line in (folder / "cntlist.rev").read_text().splitlines():
        sense, _, count = line.split()
        lemma, rest = sense.split("%")
        counts[lemma, rest.split(":")[0], rest] = int(count)
    by_word = collections.Counter()
    for (lemma, part, _), count in counts.items():
        by_word[lemma, {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}[part]] += count
    senses, synsets, opposites = {}, {}, collections.defaultdict(set)
    for part, name in PARTS.items():
        for line in (folder / f"index.{name}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            offsets = fields[-int(fields[2]):]
            senses[fields[0], part] = [(part, offset) for offset in offsets]
        pointers = []
        for line in (folder / f"data.{name}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split(" | ")[0].split()
            size = int(fields[3], 16)
            words = [re.sub(r"\(.*\)$", "", fields[4 + 2 * i]).lower() for i in range(size)]
            capital = any(fields[4 + 2 * i] != fields[4 + 2 * i].lower() for i in range(size))
            synsets[part, fields[0]] = (words, capital)
            at = 5 + 2 * size
            for _ in range(int(fields[4 + 2 * size])):
                symbol, offset, pos, ends = fields[at:at + 4]
                at += 4
                if symbol == "!":
                    pointers.append((words[int(ends[:2], 16) - 1], ("a" if pos == "s" else pos, offset), int(ends[2:], 16) - 1))
        for word, target, index in pointers:
            opposites[word].add((target, index))
    return by_word, senses, synsets, opposites


def main():
    folder = pathlib.Path(sys.argv[1])
    by_word, senses, synsets, pointers = read(folder)
    known = {word for (word, _), count in by_word.items() if count > 0}
    out = []
    out.append("[irregular]")
    irregular = set()
    for part, name in PARTS.items():
        for line in (folder / f"{name}.exc").read_text().splitlines():
            form, lemma = line.split()[:2]
            if WORD.match(form) and WORD.match(lemma) and "_" not in form and by_word[lemma, part] > 0 and name != "adj" and name != "adv":
                irregular.add((form, lemma))
    out += [f"{form} {lemma}" for form, lemma in sorted(irregular) if form != lemma]
    out.append("[synonyms]")
    groups = set()
    for (part, offset), (words, capital) in synsets.items():
        if capital:
            continue
        def close(word):
            held = senses.get((word, part), [])
            return (part, offset) in held[:SENSES] and WORD.match(word) and (by_word[word, part] > 0 or (len(held) == 1 and '_' not in word and part in 'ar'))
        members = [word for word in words if close(word)]
        if len(members) > 1 and any(by_word[word, part] > 0 for word in members):
            groups.add(" ".join(sorted(members)))
    out += sorted(groups)
    out.append("[opposites]")
    pairs = collections.defaultdict(set)
    for word, targets in pointers.items():
        for target, index in targets:
            other = synsets[target][0][index]
            if WORD.match(word) and WORD.match(other) and word < other and (word in known or other in known):
                pairs[word].add(other)
    out += [f"{word} {' '.join(sorted(others))}" for word, others in sorted(pairs.items())]
    out.append("[qualities]")
    qualities = []
    for word in sorted({word for word, part in senses if part in "ar" and "_" not in word and WORD.match(word)}):
        quality = by_word[word, "a"] + by_word[word, "r"]
        thing = max(by_word[word, "n"], by_word[word, "v"])
        if quality > thing and quality > 0:
            qualities.append(word)
    out += qualities
    out.append("[words]")
    said = {word for line in out for word in line.split()}
    out += sorted(word for word in known - said if WORD.match(word) and "_" not in word and len(word) > 2)
    print('R"english(' + "\n".join(out) + '\n)english"')


if __name__ == "__main__":
    main()
