"""Folds of XQuAD's English part by article, for docs/RESULTS.md: a third of the articles is scored, the others are learnt.

    python bench/claims/xquad.py data rows

Writes xquad-train-0.json and xquad-test-0.json to -2 in SQuAD's format.
"""

import json
import random
import sys
from pathlib import Path

FOLDS = 3


def main():
    data, out = map(Path, sys.argv[1:])
    out.mkdir(exist_ok=True)
    whole = json.loads((data / "xquad-en" / "xquad.en.json").read_text(encoding="utf-8"))
    articles = whole["data"]
    random.Random(0).shuffle(articles)
    for fold in range(FOLDS):
        parts = {"test": articles[fold::FOLDS], "train": [a for i, a in enumerate(articles) if i % FOLDS != fold]}
        for name, part in parts.items():
            text = json.dumps({**whole, "data": part}, ensure_ascii=False)
            (out / f"xquad-{name}-{fold}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
