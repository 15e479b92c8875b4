"""Rows of SNIPS's slots for the claim about other domains (docs/RESULTS.md): pairs of intents that share some kinds of slots.

    python bench/claims/domains.py data rows

Slots that a pair does not share become `O`. Sentences that occur twice are left out. Of each intent 400 rows are kept to score, 100 to
validate, and the rest to learn.
"""

import json
import random
import sys
from pathlib import Path

# Two domains each, by the name of their files, and what they share.
PAIRS = [
    ({"book": "BookRestaurant", "weather": "GetWeather"}, {"timeRange", "spatial_relation", "city", "state", "country"}),
    ({"playlist": "AddToPlaylist", "music": "PlayMusic"}, {"music_item", "artist", "playlist"}),
    ({"rating": "RateBook", "work": "SearchCreativeWork"}, {"object_name", "object_type"}),
]


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def of_intent(data, intent):
    """Each sentence of an intent once, in a random order that is always the same."""
    # The two sets have the same sentences in the same order.
    pairs = zip(read(data / "snips-intent" / "train.jsonl"), read(data / "snips-slots" / "train.jsonl"), strict=True)
    rows = list({tuple(slots["tokens"]): slots for row, slots in pairs if row["label"] == intent}.values())
    random.Random(0).shuffle(rows)
    return rows


def main():
    data, out = map(Path, sys.argv[1:])
    out.mkdir(exist_ok=True)
    for domains, shared in PAIRS:
        for name, intent in domains.items():
            rows = [
                {"tokens": row["tokens"], "tags": [tag if tag[2:] in shared else "O" for tag in row["tags"]]}
                for row in of_intent(data, intent)
            ]
            for part, of_part in (("test", rows[:400]), ("dev", rows[400:500]), ("train", rows[500:])):
                write(out / f"{name}-{part}.jsonl", of_part)


if __name__ == "__main__":
    main()
