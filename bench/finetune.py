"""Full fine-tuning, LoRA, and the head alone, in PyTorch: baselines that `peft compare` puts beside runs of `peft train`.

    python finetune.py --like runs/ptv2 --mode full --out runs/full
    python finetune.py --like runs/ptv2 --mode lora --out runs/lora --lr 1e-3
    peft compare runs/ptv2 runs/full runs/lora --significance

Model, rows, templates, classes, batch size, steps, seed, evaluations and the score that chooses the step are those of the run in `--like`;
flags change them. AdamW, a learning rate that falls linearly to 0, f32. `full` and `lora` train with the model's own dropout; `head` trains a
classifier on a frozen base in evaluation mode, as `peft train --method head` does. A causal language model learns the target alone, and
is scored by its loss and, where the run has classes, by the likeliest of them, as `peft eval --rank-classes` ranks them.

The folder holds run.toml, result.json, metrics.jsonl, evaluations.jsonl and predictions.jsonl. Rows that a run drew with its own generator
(`train_rows`, `valid_split`) are refused: give the run files of its own.
"""

import argparse
import json
import math
import os
import re
import resource
import subprocess
import time
import tomllib
from pathlib import Path

import torch
from peer import batches, collate, load_base
from rows import IGNORE, read_jsonl, write_jsonl

# The rate of each mode that is not given: what is usual for models of these sizes, not searched for here.
RATES = {"full": 5e-5, "lora": 1e-3, "head": 0.01}
# Settings of a run that are the same here.
KEPT = ("model", "task", "task_file", "train", "valid", "columns", "source_template", "target_template", "labels", "max_length",
        "text_field", "text_pair_field", "label_field", "source_field", "target_field", "batch_size")  # fmt: skip
PATHS = ("model", "train", "valid", "task_file")
REFUSED = {
    "valid_split": "held out with a generator of its own: give it a file of validation rows (--valid)",
    "train_rows": "drew its training rows with a generator of its own: give it a file of them",
    "batch_tokens": "counts a batch in tokens: give it --batch-size",
    "columns": "names columns: rows are read from JSON Lines here",
}
FROM_FILE = "# Relative paths start from the folder of this file."


# The run


def read_run(folder):
    """The settings of a run, with absolute paths, and its result."""
    text = (folder / "run.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(text)
    start = folder if text.splitlines()[0] == FROM_FILE else Path.cwd()

    def absolute(path):
        found = (start / path).resolve()
        return str(found) if found.exists() else path

    for name in PATHS:
        value = settings.get(name)
        if isinstance(value, list):
            settings[name] = [absolute(path) for path in value]
        elif value:
            settings[name] = absolute(value)
    for name, why in REFUSED.items():
        if name in settings:
            raise SystemExit(f"{folder}: the run {why}")
    if settings["task"] not in ("seq-cls", "causal-lm"):
        raise SystemExit(f"{folder}: found a run for {settings['task']}, expected seq-cls or causal-lm")
    if settings.get("problem_type", "single_label_classification") != "single_label_classification":
        raise SystemExit(f"{folder}: found {settings['problem_type']}, expected rows of one class")
    if not settings.get("valid"):
        raise SystemExit(f"{folder}: the run has no validation rows, by which baselines are compared")
    result = folder / "result.json"
    return settings, json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}


def fields_of(folder):
    """What the fields of the rows are called, where the run found that by itself."""
    own = folder / "burn_peft.json"
    recipe = json.loads(own.read_text(encoding="utf-8")).get("recipe") if own.exists() else None
    return {name: value for name, value in (recipe or {}).items() if name.endswith("_field") and isinstance(value, str)}


def classes_of(folder, settings, rows):
    """The names of the classes in the order of the run's, else sorted; none for a language model without them."""
    own = folder / "burn_peft.json"
    names = json.loads(own.read_text(encoding="utf-8")).get("labels") if own.exists() else None
    if not names and settings.get("labels"):
        names = [name.strip() for name in settings["labels"].split(",")]
    if not names and settings["task"] == "seq-cls":
        names = sorted({str(row["label"]) for row in rows})
    return names


# Rows


def listed(files):
    return files if isinstance(files, list) else [files]


def filled(template, row):
    """A template of plain fields: `{name}`, `{object.name}`, and doubled braces."""

    def value(found):
        name = found[1]
        if name is None:
            return found[0][0]
        if name.startswith("?") or name.endswith("?") or "|" in name:
            raise SystemExit(f"found the template {template!r}, expected one without optional parts")
        at = row
        for part in [name] if name in row else name.split("."):
            at = at[int(part)] if isinstance(at, list) else at.get(part) if isinstance(at, dict) else None
        if at is None:
            raise SystemExit(f"a row has no field {name!r}, which the template {template!r} names: it has {', '.join(row)}")
        return at if isinstance(at, str) else json.dumps(at)

    return re.sub(r"\{\{|\}\}|\{([^{}]*)\}", value, template)


def texts(files, settings, peft, training):
    """Rows as `text`, `text_pair` and `label`, or `source` and `target`; and the rows as they stand in the files."""
    is_causal = settings["task"] == "causal-lm"
    if settings.get("task_file"):
        command = [peft, "tasks", settings["task_file"], "--task", settings["task"]] + ["--training"] * training
        for file in listed(files):
            command += ["--data", file]
        lines = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        return rows, rows
    records = [row for file in listed(files) for row in read_jsonl(file)]

    def read(record):
        def field(role, template=None):
            if settings.get(template):
                return filled(settings[template], record)
            name = settings.get(f"{role}_field", role)
            if name not in record:
                raise SystemExit(f"a row has no field {name!r}: it has {', '.join(record)}; name it by --{role}-field of the run")
            return record[name]

        if is_causal:
            return {"source": field("source", "source_template"), "target": field("target", "target_template")}
        row = {"text": field("text", "source_template"), "label": str(field("label"))}
        if settings.get("text_pair_field") or ("text_pair" in record and not settings.get("source_template")):
            row["text_pair"] = field("text_pair")
        return row

    return [read(record) for record in records], records


def load_tokenizer(model):
    from transformers import AutoTokenizer

    path = Path(model)
    return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name) if path.is_file() else AutoTokenizer.from_pretrained(model)


def encoded(rows, settings, tokenizer, classes):
    """Rows of ids: with `label`, or with `labels` on the target, which the end token closes, and the `source` alone."""
    longest = settings.get("max_length")
    if settings["task"] == "seq-cls":
        pairs = [row["text_pair"] for row in rows] if "text_pair" in rows[0] else None
        ids = tokenizer([row["text"] for row in rows], pairs, truncation=bool(longest), max_length=longest)
        types = ids.get("token_type_ids") if pairs else None
        found = []
        for i, row in enumerate(rows):
            if row["label"] not in classes:
                raise SystemExit(f"row {i + 1} has the label {row['label']!r}, expected one of {', '.join(classes)}")
            found.append({"input_ids": ids["input_ids"][i], "label": classes.index(row["label"])})
            if types:
                found[i]["token_type_ids"] = types[i]
        return found
    end = tokenizer.eos_token_id
    found = []
    for row in rows:
        source = tokenizer(row["source"], return_special_tokens_mask=True)
        ids, special = source["input_ids"], source["special_tokens_mask"]
        while ids and ids[-1] == end and special[-1]:
            ids, special = ids[:-1], special[:-1]
        target = closed(row["target"], tokenizer)
        if longest and len(ids) + len(target) > longest:
            # The beginning of the source goes, not its special tokens.
            first = special.index(0) if 0 in special else len(special)
            kept = longest - first - len(target)
            if kept < 0:
                raise SystemExit(f"a target has {len(target)} tokens, more than --max-length {longest} of the run leaves")
            ids = ids[:first] + ids[len(ids) - kept :]
        found.append({"input_ids": ids + target, "labels": [IGNORE] * len(ids) + target, "source": ids})
    return found


def closed(text, tokenizer):
    """The ids of a target, closed by the end token."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids + [tokenizer.eos_token_id] * (ids[-1:] != [tokenizer.eos_token_id])


# Models


def new_model(args, settings, classes):
    """The model in the mode that is trained, and what else says who made it."""
    import transformers

    torch.manual_seed(args.seed)
    model = load_base(settings["model"], settings["task"], classes and len(classes))
    by = f"transformers {transformers.__version__}"
    if args.mode == "head":
        if settings["task"] != "seq-cls":
            raise SystemExit("--mode head: a language model has no head of its own to train, expected a run for seq-cls")
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith(("classifier.", "score."))
    elif args.mode == "lora":
        import peft

        config = peft.LoraConfig(
            task_type="SEQ_CLS" if settings["task"] == "seq-cls" else "CAUSAL_LM",
            r=args.rank, lora_alpha=args.alpha or 2 * args.rank, lora_dropout=args.lora_dropout,
        )  # fmt: skip
        model = peft.get_peft_model(model, config)
        by = f"PEFT {peft.__version__}"
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise SystemExit("nothing is left to train: this model's head is called otherwise than classifier or score")
    return model.to(args.device), by


def padded(rows, device):
    rows = [{key: value for key, value in row.items() if key != "source"} for row in rows]
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
def class_probabilities(model, rows, args):
    found = [None] * len(rows)
    for places, part in parts(rows, args.batch_size):
        batch = padded(part, args.device)
        batch.pop("labels")
        for i, row in zip(places, model(**batch).logits.double().softmax(-1).tolist()):
            found[i] = row
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


def class_scores(found, expected):
    """As `peft eval` has them; `f1_macro` is of the classes that occur or were found."""
    right = sum(a == b for a, b in zip(found, expected))
    f1 = []
    for c in sorted(set(found) | set(expected)):
        both = sum(a == b == c for a, b in zip(found, expected))
        f1.append(2 * both / (found.count(c) + expected.count(c)))
    return {"accuracy": right / len(expected), "f1_macro": sum(f1) / len(f1)}


class Scorer:
    """Scores the model on the validation rows."""

    def __init__(self, args, settings, rows, texts, classes, tokenizer):
        self.args, self.rows, self.classes = args, rows, classes
        self.is_causal = settings["task"] == "causal-lm"
        self.ids = self.expected = None
        if not self.is_causal:
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
        if not self.is_causal:
            found = class_probabilities(model, self.rows, self.args)
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


def write_folder(args, settings, result, rows):
    """run.toml comes last: it makes the folder one that `peft compare` finds."""
    write_jsonl(args.out / "predictions.jsonl", rows)
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    own = {name: settings[name] for name in KEPT if name in settings}
    own |= {"batch_size": args.batch_size, "lr": args.lr, "steps": args.steps, "seed": args.seed, "weight_decay": args.weight_decay}
    lines = [f"{name} = {json.dumps(value)}" for name, value in own.items()]
    (args.out / "run.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def named(like, records):
    """What tells rows apart: as in the predictions of the run, where there are any, else the rows themselves."""
    predictions = like / "predictions.jsonl"
    known = read_jsonl(predictions) if predictions.exists() else []
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
    parser.add_argument("--seed", type=int, help="default: that of the run")
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
    args.seed = settings.get("seed", 0) if args.seed is None else args.seed
    args.batch_size = args.batch_size or settings.get("batch_size", 32)
    args.best_metric = of_run.get("best_metric") or ("loss" if settings["task"] == "causal-lm" else "accuracy")
    args.group_by_length, args.no_shuffle = not settings.get("no_shuffle", False), settings.get("no_shuffle", False)

    named = {**fields_of(args.like), **settings}
    train_texts, _ = texts(settings["train"], named, args.peft, training=True)
    valid_texts, valid_records = texts(settings["valid"], named, args.peft, training=False)
    classes = classes_of(args.like, settings, train_texts)
    tokenizer = load_tokenizer(settings["model"])
    train_rows, valid_rows = (encoded(rows, settings, tokenizer, classes) for rows in (train_texts, valid_texts))
    scorer = Scorer(args, settings, valid_rows, valid_texts, classes, tokenizer)
    per_epoch = math.ceil(len(train_rows) / args.batch_size)
    args.steps = args.steps or of_run.get("total_steps") or settings.get("steps") or per_epoch * settings.get("epochs", 3)
    args.eval_every = args.eval_every or settings.get("eval_every") or per_epoch

    model, by = new_model(args, settings, classes)
    args.out.mkdir(parents=True)
    step, losses = train(model, train_rows, scorer, args)
    scores, predicted = scorer.score(model, ranks=True)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    last = losses[-20:]
    extra = {"lora_rank": args.rank} if args.mode == "lora" else {}
    result = {
        "ending": "finished", "step": step, "last_step": args.steps, "total_steps": args.steps, "best_metric": args.best_metric,
        "train_loss": sum(last) / len(last), "trained_parameters": trained, "stored_parameters": trained,
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "train_rows": len(train_rows),
        "valid_rows": len(valid_rows), "scores": scores, "baseline": {"kind": args.mode, "by": by, "settings": extra},
    }  # fmt: skip
    names = named(args.like, valid_records)
    rows = [name | row for name, row in zip(names, predicted)]
    if scorer.expected is not None:
        rows = [row | {"reference": classes[c]} for row, c in zip(rows, scorer.expected)]
    write_folder(args, settings, result, rows)
    print(json.dumps({"step": step, "trained_parameters": trained, **scores}))


if __name__ == "__main__":
    main()
