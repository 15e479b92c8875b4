"""Rows of token ids, as `peft` and peer.py read them. As a program it makes rows with the lengths of E2E:

    python rows.py SHARED OUT --vocabulary 8000

Token counts are those of E2E's sources and targets with the tokenizer of stories260k; the ids are random. Labels are on the target.
"""

import argparse
import json
import random
from pathlib import Path

IGNORE = -100
# Lower ids are special tokens in some model (BERT: up to 999).
LOWEST_ID = 1000


def random_ids(rng, vocabulary, length):
    return [rng.randrange(LOWEST_ID, vocabulary) for _ in range(length)]


def causal_rows(count, length, vocabulary, targets_only=False):
    """Rows of one length; with `targets_only` the first three quarters of each have no label."""
    rng = random.Random(0)
    unlabelled = length * 3 // 4 if targets_only else 0
    rows = []
    for _ in range(count):
        ids = random_ids(rng, vocabulary, length)
        rows.append({"input_ids": ids, "labels": [IGNORE] * unlabelled + ids[unlabelled:]})
    return rows


def seq2seq_rows(count, length, target, vocabulary):
    """Rows of one length, each with a target of another."""
    rng = random.Random(0)
    return [{"input_ids": random_ids(rng, vocabulary, length), "labels": random_ids(rng, vocabulary, target)} for _ in range(count)]


def class_rows(count, length, vocabulary, classes):
    """Rows of one length with a class each; every class appears among the first."""
    rng = random.Random(0)
    return [{"input_ids": random_ids(rng, vocabulary, length), "label": i % classes} for i in range(count)]


def prompt_rows(count, lengths, vocabulary):
    """Rows to continue, of `lengths[0]` to `lengths[1]` tokens."""
    rng = random.Random(0)
    return [{"input_ids": random_ids(rng, vocabulary, rng.randint(*lengths))} for _ in range(count)]


def e2e_rows(shared, count, vocabulary):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(shared / "models" / "stories260k" / "tokenizer.json"))
    lines = (shared / "data" / "e2e-nlg" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    rng = random.Random(0)
    rows = []
    for line in rng.sample(lines, count):
        record = json.loads(line)
        source = random_ids(rng, vocabulary, len(tokenizer.encode(record["source"])))
        # One more: the end token.
        target = random_ids(rng, vocabulary, len(tokenizer.encode(" " + record["target"], add_special_tokens=False)) + 1)
        rows.append({"input_ids": source + target, "labels": [IGNORE] * len(source) + target})
    return rows


def read_jsonl(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def write_jsonl(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--vocabulary", type=int, required=True)
    parser.add_argument("--count", type=int, default=1600)
    args = parser.parse_args()
    write_jsonl(args.out, e2e_rows(args.shared, args.count, args.vocabulary))


if __name__ == "__main__":
    main()
