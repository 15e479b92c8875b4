"""Writes tests/vectors/metrics/entities.json: the scores that peft-core's metrics must give.

    python tests/python/make_entities.py

"entities": tag sequences, well-formed and not, with the scores of seqeval 1.2.2 in its default mode.
"classification": classes, with scores from the plain formulas below; scikit-learn must agree.
Needs seqeval (which brings scikit-learn). The seed is fixed: the file is reproducible.
"""

import json
import math
import random
import warnings
from pathlib import Path

from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

warnings.simplefilter("ignore")  # undefined scores and malformed tags are the point here
rng = random.Random(20240611)
KINDS = ["PER", "LOC", "creative-work"]


def well_formed(length):
    tags = []
    while len(tags) < length:
        if rng.random() < 0.5:
            tags.append("O")
        else:
            kind = rng.choice(KINDS)
            tags.append("B-" + kind)
            while len(tags) < length and rng.random() < 0.5:
                tags.append("I-" + kind)
    return tags


def iob(length):
    """IOB tags in any order: I- after O, after another type, at the start."""
    return [rng.choice(["O", "O"] + [p + k for p in ("B-", "I-") for k in KINDS]) for _ in range(length)]


def anything(length):
    """IOBES, bare letters, and strings that are not tags."""
    some = ["O", "B", "I", "E", "S", "X", ".", "B-", "I-", "X-PER", "O-PER", "BPER"]
    some += [p + k for p in ("B-", "I-", "E-", "S-") for k in ("PER", "a-b")]
    return [rng.choice(some) for _ in range(length)]


def noisy(tags):
    """Mostly equal, so that there are matches to count."""
    return [rng.choice(["O"] + ["I-" + k for k in KINDS] + [t]) if rng.random() < 0.2 else t for t in tags]


def entity_case(make, predict):
    references = [make(rng.randint(1, 9)) for _ in range(rng.randint(1, 4))]
    predictions = [predict(tags) for tags in references]
    scores = lambda average: precision_recall_fscore_support(references, predictions, average=average)
    precision, recall, f1, _ = scores("micro")
    kinds = sorted({e[0] for tags in (references, predictions) for e in get_entities(tags)})
    by_kind = {k: [float(p), float(r), float(f), int(s)] for k, p, r, f, s in zip(kinds, *scores(None))}
    return {
        "predictions": predictions,
        "references": references,
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "by_kind": by_kind,
        "first": get_entities(references[0]),
    }


def classification_case(classes, rows, skill):
    references = [rng.randrange(classes) for _ in range(rows)]
    # -1 stands for an answer that is not a class.
    predictions = [r if rng.random() < skill else rng.randrange(-1, classes) for r in references]
    labels = sorted(set(references) | set(predictions))
    p = {k: predictions.count(k) for k in labels}
    t = {k: references.count(k) for k in labels}
    hit = {k: sum(a == b == k for a, b in zip(predictions, references)) for k in labels}
    right = sum(hit.values())
    denominator = math.sqrt(rows**2 - sum(n * n for n in p.values()))
    denominator *= math.sqrt(rows**2 - sum(n * n for n in t.values()))
    numerator = right * rows - sum(p[k] * t[k] for k in labels)
    case = {
        "predictions": predictions,
        "references": references,
        "accuracy": right / rows,
        "f1_micro": 2 * right / (2 * right + (rows - right) + (rows - right)),
        "f1_macro": sum(2 * hit[k] / (p[k] + t[k]) for k in labels) / len(labels),
        "matthews": numerator / denominator if denominator else 0.0,
    }
    for name, expected in [
        ("accuracy", accuracy_score(references, predictions)),
        ("f1_micro", f1_score(references, predictions, average="micro")),
        ("f1_macro", f1_score(references, predictions, average="macro")),
        ("matthews", matthews_corrcoef(references, predictions)),
    ]:
        assert abs(case[name] - expected) < 1e-12, (name, case)
    return case


entities = [entity_case(well_formed, noisy) for _ in range(60)]
entities += [entity_case(well_formed, lambda tags: well_formed(len(tags))[: len(tags)]) for _ in range(20)]
entities += [entity_case(iob, noisy) for _ in range(60)]
entities += [entity_case(iob, lambda tags: iob(len(tags))) for _ in range(20)]
entities += [entity_case(anything, lambda tags: anything(len(tags))) for _ in range(40)]
outside = lambda n: ["O"] * n
entities += [entity_case(outside, lambda tags: iob(len(tags))), entity_case(outside, lambda tags: tags)]
entities += [entity_case(iob, lambda tags: outside(len(tags)))]

classification = [
    classification_case(rng.randint(1, 6), rng.randint(1, 40), rng.random()) for _ in range(60)
]

path = Path(__file__).parents[1] / "vectors" / "metrics" / "entities.json"
path.parent.mkdir(parents=True, exist_ok=True)
lines = lambda cases: ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
path.write_text(
    '{\n "entities": [\n%s\n ],\n "classification": [\n%s\n ]\n}\n'
    % (lines(entities), lines(classification)),
    encoding="utf-8",
)
print(f"{path}: {len(entities)} entity cases, {len(classification)} classification cases")
