"""Trains every method with its defaults on small sets of short texts and prints accuracies: the table of docs/RECIPES.md.

    python bench/defaults.py --work DIR [--epochs 1] [--seeds 0 1 2] [--sets price family] [-- FLAGS OF peft train]

Takes PEFT_MINILM and PEFT_SHARED as race.py does, and the program from --peft. The sets, 32 rows a batch, with the accuracy on 500 other rows
after the last step: what a sentence of E2E says of the price (6 classes), of the rating (6) and of families (2), from the fields that it
was written from; and 2,528 of SNIPS's training rows (7 intents), as small.
"""

import argparse
import json
import os
import random
import re
import subprocess
from pathlib import Path

METHODS = ["head", "prompt", "prefix", "ptv2"]
FIELDS = {"price": ("priceRange", 2528), "rating": ("customer rating", 5440), "family": ("familyFriendly", 2528)}
VALID = 500


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def of_field(rows, field, seed):
    found = []
    for row in rows:
        fields = dict(re.findall(r"(\w[\w ]*)\[([^\]]*)\]", row["source"]))
        if field in fields:
            found.append({"text": row["target"], "label": fields[field]})
    random.Random(seed).shuffle(found)
    return found


def make(work, shared):
    e2e, snips = shared / "data" / "e2e-nlg", shared / "data" / "snips-intent"
    dev, test = read(e2e / "dev.jsonl"), read(e2e / "test.jsonl")
    for name, (field, count) in FIELDS.items():
        train, valid = of_field(dev, field, 1), of_field(test, field, 2)
        known = {row["label"] for row in train}
        write(work / f"{name}.train.jsonl", train[:count])
        write(work / f"{name}.valid.jsonl", [row for row in valid if row["label"] in known][:VALID])
    train = read(snips / "train.jsonl")
    random.Random(3).shuffle(train)
    write(work / "snips.train.jsonl", train[:2528])
    write(work / "snips.valid.jsonl", read(snips / "valid.jsonl")[:VALID])


def accuracy(args, name, method, seed):
    command = [args.peft, "train", "-q", "--json", "--model", os.environ["PEFT_MINILM"], "--method", method, "--task", "seq-cls"]
    command += ["--train", args.work / f"{name}.train.jsonl", "--valid", args.work / f"{name}.valid.jsonl", "--out", args.work / "run"]
    command += ["--overwrite", "--epochs", args.epochs, "--seed", seed, "--max-length", 128, "--threads", 1, *args.flags]
    made = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(made.stdout)["last_metrics"]["accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peft", default="peft")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=["price", "rating", "family", "snips"])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("flags", nargs="*", help="flags of `peft train`, after --")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    make(args.work, Path(os.environ["PEFT_SHARED"]))
    for name in args.sets:
        for method in args.methods:
            found = [accuracy(args, name, method, seed) for seed in args.seeds]
            print(f"{name:<8} {method:<7}", " ".join(f"{value:.3f}" for value in found), flush=True)


if __name__ == "__main__":
    main()
