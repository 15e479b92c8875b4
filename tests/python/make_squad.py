"""Writes tests/vectors/metrics/squad.json: scores of answers that peft-core's metrics must give.

    python tests/python/make_squad.py

A separate implementation of the published definition (SQuAD 1.1's evaluation): lower case, without ASCII punctuation
and the words a, an and the, with single spaces; exact match and the F1 of the bags of words, the best over the answers.
Needs nothing beyond Python. The seed is fixed: the file is reproducible.
"""

import json
import random
import re
from collections import Counter
from pathlib import Path

rng = random.Random(20240702)
PUNCTUATION = set(r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""")
WORDS = """the a an The A An THE theatre another Anna a-frame U.S. 6½ 1,000 $5.3 café CAFÉ naïve İstanbul straße STRASSE
Ωμέγα ΣΟΦΟΣ 漢字 – — a–b the– “the” it's its (the) ’a’ 24 24% Jr. and of in New York Broncos team_a _the_ x\u00a0y an\u2003a
""".split(" ")
WORDS = [word for piece in WORDS for word in piece.split("\n") if word]


def normalize(text):
    text = "".join(letter for letter in text.lower() if letter not in PUNCTUATION)
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", text).split())


def f1(prediction, answer):
    found, wanted = normalize(prediction).split(), normalize(answer).split()
    shared = sum((Counter(found) & Counter(wanted)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(found), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def text(longest):
    return rng.choice(["", " ", ""]) + rng.choice([" ", " ", "  ", ", "]).join(
        rng.choice(WORDS) for _ in range(rng.randint(0, longest))
    )


def case():
    answers = [text(5) for _ in range(rng.randint(1, 3))]
    kind = rng.random()
    if kind < 0.3:
        prediction = text(6)
    elif kind < 0.6:  # one of the answers, written differently
        prediction = rng.choice(["The ", "", "a "]) + rng.choice(answers).upper() + rng.choice([".", "", "!"])
    else:  # part of an answer, or more than it
        words = rng.choice(answers).split() + text(2).split()
        rng.shuffle(words)
        prediction = " ".join(words[: rng.randint(0, len(words))])
    return {
        "prediction": prediction,
        "answers": answers,
        "normalized": normalize(prediction),
        "exact_match": any(normalize(prediction) == normalize(answer) for answer in answers),
        "f1": max(f1(prediction, answer) for answer in answers),
    }


cases = [case() for _ in range(400)]
path = Path(__file__).parents[1] / "vectors" / "metrics" / "squad.json"
path.write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
print(len(cases), "cases,", sum(case["exact_match"] for case in cases), "exact")
