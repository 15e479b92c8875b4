"""Rows of SNIPS's slots for the claim about other domains (docs/RESULTS.md): bookings of restaurants and questions about the weather.

    python bench/claims/domains.py data rows

Both intents have slots for times, places and where these lie; other slots become `O`. Sentences that occur twice are left out. Of each intent
400 rows are kept to score, 100 to validate, and the rest to learn.
"""

import json
import random
import sys
from pathlib import Path

INTENTS = {"book": "BookRestaurant", "weather": "GetWeather"}
SHARED = {"timeRange", "spatial_relation", "city", "state", "country"}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main():
    data, out = map(Path, sys.argv[1:])
    out.mkdir(exist_ok=True)
    # The two sets have the same sentences in the same order.
    pairs = list(zip(read(data / "snips-intent" / "train.jsonl"), read(data / "snips-slots" / "train.jsonl"), strict=True))
    for name, intent in INTENTS.items():
        rows, seen = [], set()
        for row, slots in pairs:
            tokens = slots["tokens"]
            if row["label"] == intent and tuple(tokens) not in seen:
                seen.add(tuple(tokens))
                rows.append({"tokens": tokens, "tags": [tag if tag[2:] in SHARED else "O" for tag in slots["tags"]]})
        random.Random(0).shuffle(rows)
        for part, of_part in (("test", rows[:400]), ("dev", rows[400:500]), ("train", rows[500:])):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in of_part)
            (out / f"{name}-{part}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
