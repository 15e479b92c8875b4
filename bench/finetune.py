"""Full fine-tuning, LoRA, and the head alone, in PyTorch: baselines that `peft compare` puts beside runs of `peft train`.

    python finetune.py --like runs/ptv2 --mode full --out runs/full
    python finetune.py --like runs/ptv2 --mode lora --out runs/lora --lr 1e-3
    peft compare runs/ptv2 runs/full runs/lora --significance
    python finetune.py --like runs/ptv2 --mode full --seeds 0,1,2 --test test.jsonl=tests/full --out runs/full

Model, rows, templates, classes, batch size, steps, seed, evaluations and the score that chooses the step are those of the run in `--like`;
flags change them. AdamW, a learning rate that falls linearly to 0, f32. `full` and `lora` train with the model's own dropout; `head` trains a
classifier on a frozen base in evaluation mode, as `peft train --method head` does. A causal language model learns the target alone, and
is scored by its loss and, where the run has classes, by the likeliest of them, as `peft eval --rank-classes` ranks them.

The folder holds run.toml, result.json, metrics.jsonl, evaluations.jsonl and predictions.jsonl; with `--seeds` it holds such a folder for each
seed. `--test FILE=DIR` scores the step that was chosen on other rows, too, and writes a folder as `peft eval --out DIR` does. Rows that a
run drew with its own generator (`train_rows`, `valid_split`) are refused: give the run files of its own.
"""

import argparse
import json
import math
import os
import resource
import time
from pathlib import Path

import torch
from baseline_rows import KEPT, classes_of, closed, encoded, fields_of, load_tokenizer, read_run, texts
from peer import TASK_TYPES, batches, collate, load_base
from rows import IGNORE, read_jsonl, write_jsonl

# The rate of each mode that is not given: what is usual for models of these sizes, not searched for here.
RATES = {"full": 5e-5, "lora": 1e-3, "head": 0.01}


# Models


def new_model(args, settings, classes):
    """The model in the mode that is trained, and what else says who made it."""
    import transformers

    torch.manual_seed(args.seed)
    model = load_base(settings["model"], settings["task"], classes and len(classes))
    by = f"transformers {transformers.__version__}"
    if args.mode == "head":
        if settings["task"] == "causal-lm":
            raise SystemExit("--mode head: a language model has no head of its own to train, expected a run for seq-cls or token-cls")
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith(("classifier.", "score."))
    elif args.mode == "lora":
        import peft

        config = peft.LoraConfig(
            task_type=TASK_TYPES[settings["task"]],
            r=args.rank, lora_alpha=args.alpha or 2 * args.rank, lora_dropout=args.lora_dropout,
        )  # fmt: skip
        model = peft.get_peft_model(model, config)
        by = f"PEFT {peft.__version__}"
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise SystemExit("nothing is left to train: this model's head is called otherwise than classifier or score")
    return model.to(args.device), by


def padded(rows, device):
    rows = [{key: value for key, value in row.items() if key not in ("source", "words")} for row in rows]
    batch = collate(rows)
    if "token_type_ids" in rows[0]:
        longest = batch["input_ids"].shape[1]
        batch["token_type_ids"] = torch.tensor([row["token_type_ids"] + [0] * (longest - len(row["token_type_ids"])) for row in rows])
    return {key: value.to(device) for key, value in batch.items()}


# Scores


def parts(rows, size):
    """Rows of similar length together, with their places."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        yield places, [rows[i] for i in places]


@torch.inference_mode()
def probabilities(model, rows, args):
    """For each row the probabilities of the classes; of a tagger, those at each of its tokens."""
    found = [None] * len(rows)
    for places, part in parts(rows, args.batch_size):
        batch = padded(part, args.device)
        batch.pop("labels")
        for i, row, values in zip(places, part, model(**batch).logits.double().softmax(-1)):
            found[i] = (values if values.dim() == 1 else values[: len(row["input_ids"])]).tolist()
    return found


@torch.inference_mode()
def target_loss(model, rows, args):
    """The mean loss of the targets' tokens."""
    total = count = 0
    for _, part in parts(rows, args.batch_size):
        batch = padded(part, args.device)
        labels = batch.pop("labels")[:, 1:]
        logits = model(**batch).logits[:, :-1]
        total += torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), labels.flatten(), ignore_index=IGNORE, reduction="sum").item()
        count += (labels != IGNORE).sum().item()
    return total / count


@torch.inference_mode()
def log_likelihoods(model, rows, classes, args):
    """For each row the sum of the log-probabilities of each class's tokens."""
    found = [[0.0] * len(classes) for _ in rows]
    pairs = [
        {"input_ids": row["source"] + ids, "labels": [IGNORE] * len(row["source"]) + ids, "place": (i, c)}
        for i, row in enumerate(rows) for c, ids in enumerate(classes)
    ]  # fmt: skip
    for _, part in parts(pairs, args.batch_size):
        batch = padded([{key: row[key] for key in ("input_ids", "labels")} for row in part], args.device)
        labels = batch.pop("labels")[:, 1:]
        logits = model(**batch).logits[:, :-1].log_softmax(-1)
        chosen = logits.gather(2, labels.clamp(min=0)[:, :, None])[:, :, 0].double().masked_fill(labels == IGNORE, 0)
        for row, value in zip(part, chosen.sum(1).tolist()):
            i, c = row["place"]
            found[i][c] = value
    return found


def entities(tags):
    """The entities of a sentence as (type, first word, last word), as seqeval's default mode finds them."""
    found, start, kind = set(), None, None
    for i, tag in enumerate([*tags, "O"]):
        mark, _, of = tag.partition("-")
        if start is not None and (mark != "I" or of != kind):
            found.add((kind, start, i - 1))
            start = None
        if start is None and mark in ("B", "I"):
            start, kind = i, of
    return found


def tag_scores(found, expected):
    """Of sentences of tags: precision, recall and F1 of entities, and the accuracy of tags."""
    pairs = [(entities(a), entities(b)) for a, b in zip(found, expected)]
    right, ours, theirs = (sum(map(len, sets)) for sets in ((a & b for a, b in pairs), (a for a, _ in pairs), (b for _, b in pairs)))
    tags = [(a, b) for row in zip(found, expected) for a, b in zip(*row)]
    return {
        "accuracy": sum(a == b for a, b in tags) / len(tags), "precision": right / max(ours, 1), "recall": right / max(theirs, 1),
        "f1": 2 * right / max(ours + theirs, 1),
    }  # fmt: skip


def class_scores(found, expected):
    """As `peft eval` has them; `f1_macro` is of the classes that occur or were found."""
    right = sum(a == b for a, b in zip(found, expected))
    f1 = []
    for c in sorted(set(found) | set(expected)):
        both = sum(a == b == c for a, b in zip(found, expected))
        f1.append(2 * both / (found.count(c) + expected.count(c)))
    return {"accuracy": right / len(expected), "f1_macro": sum(f1) / len(f1)}


class Scorer:
    """Scores the model on rows: those of validation, or of a test."""

    def __init__(self, args, settings, rows, texts, classes, tokenizer):
        self.args, self.rows, self.classes = args, rows, classes
        self.is_causal, self.is_tagger = settings["task"] == "causal-lm", settings["task"] == "token-cls"
        self.ids = self.expected = None
        if self.is_tagger:
            self.tags = [row["tags"] for row in texts]
        elif not self.is_causal:
            self.expected = [row["label"] for row in rows]
        elif classes:
            # A target says its class as the classes are written, but for blanks; these are written as the first target is.
            first = texts[0]["target"]
            before, after = first[: len(first) - len(first.lstrip())], first[len(first.rstrip()) :]
            self.ids = [closed(before + name + after, tokenizer) for name in classes]
            self.expected = []
            for i, row in enumerate(texts):
                if row["target"].strip() not in classes:
                    raise SystemExit(f"row {i + 1} has the target {row['target']!r}, expected one of the classes: {', '.join(classes)}")
                self.expected.append(classes.index(row["target"].strip()))

    def score(self, model, ranks):
        """Scores, and what is predicted for each row; `ranks` says whether a language model ranks its classes."""
        model.eval()
        if self.is_tagger:
            return self.score_tags(model)
        if not self.is_causal:
            found = probabilities(model, self.rows, self.args)
            loss = -sum(math.log(max(row[c], 1e-300)) for row, c in zip(found, self.expected)) / len(found)
            best = [row.index(max(row)) for row in found]
            predicted = [
                {"label": self.classes[b], "probability": row[b], "classes": dict(zip(self.classes, row))} for b, row in zip(best, found)
            ]
            return {"loss": loss, **class_scores(best, self.expected)}, predicted
        loss = target_loss(model, self.rows, self.args)
        scores, predicted = {"loss": loss, "perplexity": math.exp(loss)}, []
        if self.ids and ranks:
            found = log_likelihoods(model, self.rows, self.ids, self.args)
            best = [row.index(max(row)) for row in found]
            scores |= class_scores(best, self.expected)
            predicted = [{"label": self.classes[b], "log_likelihoods": dict(zip(self.classes, row))} for b, row in zip(best, found)]
        return scores, predicted

    def score_tags(self, model):
        found, loss, count = [], 0.0, 0
        for row, wanted, values in zip(self.rows, self.tags, probabilities(model, self.rows, self.args)):
            # A word that was cut off has no tag.
            tags = [None] * len(wanted)
            for word, label, value in zip(row["words"], row["labels"], values):
                if label != IGNORE:
                    tags[word] = self.classes[value.index(max(value))]
                    loss, count = loss - math.log(max(value[label], 1e-300)), count + 1
            found.append(tags)
        scores = tag_scores([[tag or "O" for tag in tags] for tags in found], self.tags)
        return {"loss": loss / count, **scores}, [{"tags": tags} for tags in found]


# Training


def write_line(file, line):
    file.write(json.dumps(line) + "\n")
    file.flush()


def train(model, rows, scorer, args):
    """Trains, and leaves the parameters of the best step in the model: its number and the losses."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=args.lr, weight_decay=args.weight_decay)
    supply = batches(rows, args, lambda part: padded(part, args.device))
    best, losses = None, []
    with open(args.out / "metrics.jsonl", "w", encoding="utf-8") as steps, open(args.out / "evaluations.jsonl", "w", encoding="utf-8") as scores:
        for step in range(1, args.steps + 1):
            model.train(args.mode != "head")
            start = time.perf_counter()
            optimizer.param_groups[0]["lr"] = args.lr * (1 - (step - 1) / args.steps)
            batch = next(supply)
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            seconds, tokens = time.perf_counter() - start, batch["attention_mask"].sum().item()
            write_line(steps, {"step": step, "loss": losses[-1], "tokens": tokens, "tokens_per_second": tokens / seconds})
            if step % args.eval_every == 0 or step == args.steps:
                found, _ = scorer.score(model, ranks=args.best_metric not in ("loss", "perplexity"))
                write_line(scores, {"step": step, **found})
                if args.best_metric not in found:
                    raise SystemExit(f"the run chose its step by {args.best_metric}, expected one of {', '.join(found)}")
                value = found[args.best_metric] * (-1 if args.best_metric in ("loss", "perplexity") else 1)
                print(f"step {step} of {args.steps}: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()), flush=True)
                if best is None or value > best[0]:
                    best = (value, step, {name: p.detach().clone() for name, p in trained.items()})
    with torch.no_grad():
        for name, value in best[2].items():
            trained[name].copy_(value)
    return best[1], losses


# The folder


def write_folder(folder, args, settings, result, rows):
    """run.toml comes last: it makes the folder one that `peft compare` finds."""
    write_jsonl(folder / "predictions.jsonl", rows)
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    own = {name: settings[name] for name in KEPT if name in settings}
    own |= {"batch_size": args.batch_size, "lr": args.lr, "steps": args.steps, "seed": args.seed, "weight_decay": args.weight_decay}
    lines = [f"{name} = {json.dumps(value)}" for name, value in own.items()]
    (folder / "run.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def named(predictions, records):
    """What tells rows apart: as in these predictions of them, where there are any, else the rows themselves."""
    known = read_jsonl(predictions) if predictions and predictions.exists() else []
    if len(known) == len(records):
        return [{key: row[key] for key in ("id", "input") if key in row} for row in known]
    ids = [next((row[name] for name in ("id", "guid", "idx") if row.get(name) is not None), None) for row in records]
    return [({"id": i} if i is not None else {}) | {"input": row} for i, row in zip(ids, records)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", type=Path, required=True, help="folder of the run that says what is learnt and scored")
    parser.add_argument("--mode", choices=RATES, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the baseline; must not exist")
    parser.add_argument("--lr", type=float, help="default: " + ", ".join(f"{mode} {rate}" for mode, rate in RATES.items()))
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--steps", type=int, help="default: those of the run")
    parser.add_argument("--batch-size", type=int, help="default: that of the run")
    parser.add_argument("--eval-every", type=int, help="default: that of the run")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, help="default: that of the run")
    seeds.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], help="several, as 0,1,2: a folder each")
    parser.add_argument("--test", metavar="FILE=DIR", action="append", default=[], help="rows to score the chosen step on, and the folder for it")
    parser.add_argument("--rank", type=int, default=8, help="of LoRA's matrices")
    parser.add_argument("--alpha", type=float, help="LoRA's scale; default twice the rank")
    parser.add_argument("--lora-dropout", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="as PyTorch names it: cpu, cuda")
    parser.add_argument("--peft", default="peft", help="the program, which reads the rows of a task in TOML")
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    settings, of_run = read_run(args.like)
    args.lr = RATES[args.mode] if args.lr is None else args.lr
    args.batch_size = args.batch_size or settings.get("batch_size", 32)
    usual = {"causal-lm": "loss", "token-cls": "f1"}.get(settings["task"], "accuracy")
    args.best_metric = of_run.get("best_metric") or usual
    args.group_by_length, args.no_shuffle = not settings.get("no_shuffle", False), settings.get("no_shuffle", False)

    to_read = {**fields_of(args.like), **settings}
    train_texts, _ = texts(settings["train"], to_read, args.peft, training=True)
    classes = classes_of(args.like, settings, train_texts)
    tokenizer = load_tokenizer(settings["model"])
    rows = encoded(train_texts, settings, tokenizer, classes)
    out, tests = args.out, [test.rpartition("=")[::2] for test in args.test]
    if not all(file for file, _ in tests):
        raise SystemExit(f"--test {args.test}: expected FILE=DIR, rows and the folder for their scores")
    # What is scored: the files, the scorer, and the rows as they stand in the files.
    scored = []
    for files in [settings["valid"], *(str(Path(file).resolve()) for file, _ in tests)]:
        read, records = texts(files, to_read, args.peft, training=False)
        scorer = Scorer(args, settings, encoded(read, settings, tokenizer, classes), read, classes, tokenizer)
        scored.append((files, scorer, records))
    per_epoch = math.ceil(len(rows) / args.batch_size)
    args.steps = args.steps or of_run.get("total_steps") or settings.get("steps") or per_epoch * settings.get("epochs", 3)
    args.eval_every = args.eval_every or settings.get("eval_every") or per_epoch

    for seed in args.seeds or [settings.get("seed", 0) if args.seed is None else args.seed]:
        args.seed = seed
        folders = [Path(folder) / f"seed={seed}" if args.seeds else Path(folder) for folder in (out, *(folder for _, folder in tests))]
        run(args, settings, rows, classes, scored, folders)


def run(args, settings, rows, classes, scored, folders):
    """Trains with one seed, and writes a folder for each set of rows that is scored: the first chooses the step."""
    model, by = new_model(args, settings, classes)
    args.out = folders[0]
    for folder in folders:
        folder.mkdir(parents=True)
    step, losses = train(model, rows, scored[0][1], args)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    last = losses[-20:]
    extra = {"lora_rank": args.rank} if args.mode == "lora" else {}
    for (files, scorer, records), folder in zip(scored, folders):
        # The predictions of the run are of its validation rows.
        of_run = args.like / "predictions.jsonl" if folder == args.out else None
        scores, predicted = scorer.score(model, ranks=True)
        result = {
            "ending": "finished", "step": step, "last_step": args.steps, "total_steps": args.steps, "best_metric": args.best_metric,
            "train_loss": sum(last) / len(last), "trained_parameters": trained, "stored_parameters": trained,
            "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "train_rows": len(rows),
            "valid_rows": len(records), "scores": scores, "baseline": {"kind": args.mode, "by": by, "settings": extra},
        }  # fmt: skip
        found = [name | row for name, row in zip(named(of_run, records), predicted)]
        if scorer.expected is not None:
            found = [row | {"reference": classes[c]} for row, c in zip(found, scorer.expected)]
        write_folder(folder, args, {**settings, "valid": files}, result, found)
        print(json.dumps({"seed": args.seed, "rows": files, "step": step, "trained_parameters": trained, **scores}), flush=True)


if __name__ == "__main__":
    main()
