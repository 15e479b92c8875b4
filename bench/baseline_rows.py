"""The run that a baseline is like, and its rows, read as `peft train` reads them: for finetune.py."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

from rows import IGNORE, read_jsonl

# Settings of a run that are the same here.
KEPT = ("model", "task", "task_file", "train", "valid", "columns", "source_template", "target_template", "labels", "max_length",
        "text_field", "text_pair_field", "label_field", "tokens_field", "tags_field", "source_field", "target_field", "batch_size")  # fmt: skip
PATHS = ("model", "train", "valid", "task_file")
REFUSED = {
    "valid_split": "held out with a generator of its own: give it a file of validation rows (--valid)",
    "train_rows": "drew its training rows with a generator of its own: give it a file of them",
    "batch_tokens": "counts a batch in tokens: give it --batch-size",
    "columns": "names columns: rows are read from JSON Lines here",
}
TASKS = ("seq-cls", "token-cls", "causal-lm")
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
    if settings["task"] not in TASKS:
        raise SystemExit(f"{folder}: found a run for {settings['task']}, expected one for {', '.join(TASKS)}")
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
    if not names and settings["task"] == "token-cls":
        names = sorted({tag for row in rows for tag in row["tags"]})
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
    """Rows as `text`, `text_pair` and `label`, `tokens` and `tags`, or `source` and `target`; and the rows as they stand in the files."""
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
        if settings["task"] == "token-cls":
            return {"tokens": field("tokens"), "tags": field("tags")}
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
    """Rows of ids: with `label`; with `labels` on the first token of each word, and the `words` of the tokens; or with `labels` on
    the target, which the end token closes, and the `source` alone."""
    longest = settings.get("max_length")
    if settings["task"] == "token-cls":
        return [tagged(i, row, tokenizer, classes, longest) for i, row in enumerate(rows)]
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


def tagged(i, row, tokenizer, classes, longest):
    ids = tokenizer(row["tokens"], is_split_into_words=True, truncation=bool(longest), max_length=longest)
    words, labels, known = ids.word_ids(), [], set()
    for word in words:
        is_first = word is not None and word not in known
        known.add(word)
        if is_first and row["tags"][word] not in classes:
            raise SystemExit(f"row {i + 1} has the tag {row['tags'][word]!r}, expected one of {', '.join(classes)}")
        labels.append(classes.index(row["tags"][word]) if is_first else IGNORE)
    return {"input_ids": ids["input_ids"], "labels": labels, "words": words}


def closed(text, tokenizer):
    """The ids of a target, closed by the end token."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids + [tokenizer.eos_token_id] * (ids[-1:] != [tokenizer.eos_token_id])
