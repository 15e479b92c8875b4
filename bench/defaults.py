"""Trains every method on small sets with its defaults, and with a third and three times its learning rate, and prints a score for each:
the table of docs/RECIPES.md.

    python bench/defaults.py --work DIR [--sets price slots ...] [--rates 1 3 0.333] [--seeds 0 1 2] [-- FLAGS OF peft train]

Takes PEFT_MINILM and PEFT_SHARED as race.py does, and the program from --peft. Scores are of rows that are not trained on, after the last step;
no checkpoint is chosen. One thread, 32 rows a batch, one epoch where SETS says nothing else.
"""

import argparse
import json
import os
import random
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

METHODS = ["head", "prompt", "prefix", "ptv2"]
# The defaults of peft train, which a rate of 1 leaves to the program.
LR = {"head": 0.01, "prompt": 0.03, "prefix": 3e-4, "ptv2": 0.03}
FIELDS = {"price": ("priceRange", 2528), "rating": ("customer rating", 5440), "family": ("familyFriendly", 2528)}
VALID = 500


@dataclass
class Set:
    """What is trained on, and which score counts."""

    task: str
    score: str
    flags: list = field(default_factory=list)
    model: str = "minilm"


SHORT = ["--max-length", 128]
SETS = {
    # What a sentence of E2E says of the price (6 classes), of the rating (6) and of families (2), from the fields that it was written from.
    "price": Set("seq-cls", "accuracy", SHORT),
    "rating": Set("seq-cls", "accuracy", SHORT),
    "family": Set("seq-cls", "accuracy", SHORT),
    # 2,528 of SNIPS's training rows: intents (7), and slots (39 types).
    "snips": Set("seq-cls", "accuracy", SHORT),
    "slots": Set("token-cls", "f1", SHORT),
    "wnut17": Set("token-cls", "f1", SHORT),
    # Questions of 38 articles, scored on 10 others.
    "xquad": Set("qa", "f1", ["--max-length", 384, "--epochs", 3, "--eval-every", 1000, "--batch-size", 8]),
    # 32 rows, so 80 steps.
    "rte": Set("seq-cls", "accuracy", ["--epochs", 20, "--eval-every", 80, "--batch-size", 8, "--max-length", 256]),
    "boolq": Set("seq-cls", "accuracy", ["--epochs", 20, "--eval-every", 80, "--batch-size", 8, "--max-length", 256]),
    # The loss in nats a token: lower is better.
    "e2e": Set("causal-lm", "loss", model="stories260k"),
    "g2p": Set("seq2seq-lm", "loss", model="bart-g2p-us"),
}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def of_field(rows, name, seed):
    found = []
    for row in rows:
        fields = dict(re.findall(r"(\w[\w ]*)\[([^\]]*)\]", row["source"]))
        if name in fields:
            found.append({"text": row["target"], "label": fields[name]})
    random.Random(seed).shuffle(found)
    return found


def some(rows, count):
    random.Random(3).shuffle(rows)
    return rows[:count]


def symbols(words, vocab):
    """Words as the ids that the model was trained with: <s> symbols </s>, on both sides."""
    special = vocab["special"]

    def encode(text, ids):
        return [special["<s>"], *(ids.get(symbol, special["<unk>"]) for symbol in text), special["</s>"]]

    letters, sounds = vocab["graphemes"], vocab["phonemes"]
    return [{"input_ids": encode(row["source"], letters), "labels": encode(row["target_gb_us_symbols"], sounds)} for row in words]


def make(work, shared):
    data = shared / "data"
    dev, test = read(data / "e2e-nlg" / "dev.jsonl"), read(data / "e2e-nlg" / "test.jsonl")
    for name, (of, count) in FIELDS.items():
        train, valid = of_field(dev, of, 1), of_field(test, of, 2)
        known = {row["label"] for row in train}
        write(work / f"{name}.train.jsonl", train[:count])
        write(work / f"{name}.valid.jsonl", [row for row in valid if row["label"] in known][:VALID])
    for name, folder in [("snips", "snips-intent"), ("slots", "snips-slots")]:
        write(work / f"{name}.train.jsonl", some(read(data / folder / "train.jsonl"), 2528))
        write(work / f"{name}.valid.jsonl", read(data / folder / "valid.jsonl")[:VALID])
    write(work / "wnut17.train.jsonl", read(data / "wnut17" / "train.jsonl"))
    write(work / "wnut17.valid.jsonl", read(data / "wnut17" / "dev.jsonl"))
    articles = json.loads((data / "xquad-en" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    for part, chosen in [("train", articles[:38]), ("valid", articles[38:])]:
        (work / f"xquad.{part}.jsonl").write_text(json.dumps({"data": chosen}), encoding="utf-8")
    vocab = json.loads((shared / "models" / "bart-g2p-us" / "vocab.json").read_text(encoding="utf-8"))
    for part in ["train", "valid"]:
        write(work / f"g2p.{part}.jsonl", symbols(read(data / "g2p-gb" / f"{part}.jsonl"), vocab))
    for name, folder in [("rte", "RTE"), ("boolq", "BoolQ")]:
        write(work / f"{name}.train.jsonl", read(data / "fewglue" / folder / "train.jsonl"))
        write(work / f"{name}.valid.jsonl", some(read(data / "fewglue" / folder / "val.jsonl"), VALID))
    write(work / "e2e.train.jsonl", some(dev, 2528))
    write(work / "e2e.valid.jsonl", some(test, VALID))


def score(args, name, method, rate, seed):
    chosen = SETS[name]
    model = os.environ["PEFT_MINILM"] if chosen.model == "minilm" else Path(os.environ["PEFT_SHARED"]) / "models" / chosen.model
    command = [args.peft, "train", "-q", "--json", "--model", model, "--method", method, "--task", chosen.task, "--threads", 1]
    command += ["--train", args.work / f"{name}.train.jsonl", "--valid", args.work / f"{name}.valid.jsonl", "--out", args.work / "run"]
    command += ["--overwrite", "--seed", seed, *([] if "--epochs" in chosen.flags else ["--epochs", 1]), *chosen.flags, *args.flags]
    if rate != 1:
        command += ["--lr", f"{LR[method] * rate:.3g}"]
    made = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if made.returncode and "the loss became" in made.stderr:
        # It diverged.
        return float("nan")
    if made.returncode:
        raise SystemExit(made.stderr)
    return json.loads(made.stdout)["last_metrics"][chosen.score]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peft", default="peft")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 3, 1 / 3], help="times the default learning rate")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("flags", nargs="*", help="flags of `peft train`, after --")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    make(args.work, Path(os.environ["PEFT_SHARED"]))
    for rate in args.rates:
        for name in args.sets:
            for method in args.methods:
                # A language model has no head to train alone.
                if method == "head" and SETS[name].task.endswith("lm"):
                    continue
                found = [score(args, name, method, rate, seed) for seed in args.seeds]
                print(f"{name:<8} {SETS[name].score:<8} {method:<7} lr x {rate:<6.3g}", " ".join(f"{value:.3f}" for value in found), flush=True)


if __name__ == "__main__":
    main()
