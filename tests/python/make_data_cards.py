"""Data set folders whose numbers of classes have names in a card, as `datasets` writes and reads them:
tests/vectors/data_cards, with names.json, the names that `datasets` gives each file's classes.

Run with datasets 5.2.0: python tests/python/make_data_cards.py
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from datasets import ClassLabel, Features, List, Value, load_dataset  # noqa: E402
from datasets.info import DatasetInfo, DatasetInfosDict  # noqa: E402
from datasets.utils.metadata import MetadataConfigs  # noqa: E402
from huggingface_hub import DatasetCardData  # noqa: E402

OUT = Path(__file__).resolve().parent.parent / "vectors" / "data_cards"

TEXTS = ["the play was good", "it was bad", "it was good", "the play was bad"]


def rows(path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")


def labelled(path, field="label"):
    rows(path, [{"text": text, field: index % 2} for index, text in enumerate(TEXTS)])


def features(names):
    return Features({"text": Value("string"), "label": ClassLabel(names=names)})


def folder(name, infos, files):
    """A folder with a card."""
    about = DatasetCardData(license="mit", pretty_name="Plays: good, or bad?")
    DatasetInfosDict({config: DatasetInfo(features=made) for config, made in infos.items()}).to_dataset_card_data(about)
    parts = {config: {"data_files": [{"split": "train", "path": pattern}]} for config, pattern in files.items()}
    MetadataConfigs(parts).to_dataset_card_data(about)
    (OUT / name / "README.md").write_text(f"---\n{about}\n---\n# About\n", encoding="utf-8")


def legacy(name, infos):
    """A folder with the file that came before cards."""
    old = {config: {"features": made.to_dict()} for config, made in infos.items()}
    (OUT / name / "dataset_infos.json").write_text(json.dumps(old) + "\n", encoding="utf-8")


def names_of(folder, config):
    with tempfile.TemporaryDirectory() as cache:
        found = load_dataset(str(folder), config, cache_dir=cache)["train"].features
    inner = {field: getattr(feature, "feature", feature) for field, feature in found.items()}
    return {field: feature.names for field, feature in inner.items() if isinstance(feature, ClassLabel)}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    names = {}

    labelled(OUT / "labels/data/train-00000-of-00001.jsonl")
    folder("labels", {"default": features(["positive", "negative"])}, {"default": "data/train-*"})
    names["labels/data/train-00000-of-00001.jsonl"] = names_of(OUT / "labels", "default")

    tagged = [{"tokens": ["Mia", "lives", "in", "Paris"], "ner_tags": [1, 0, 0, 2]},
              {"tokens": ["The", "sea"], "ner_tags": [0, 0]}]
    rows(OUT / "tags/train.jsonl", tagged)
    tags = {"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=["O", "B-PER", "B-LOC"]))}
    folder("tags", {"default": Features(tags)}, {"default": "train.jsonl"})
    names["tags/train.jsonl"] = names_of(OUT / "tags", "default")

    # Names that YAML would read as something else.
    labelled(OUT / "configs/answers/train.jsonl")
    labelled(OUT / "configs/files/b.jsonl")
    labelled(OUT / "configs/files/all.jsonl")
    infos = {"answers": features(["no", "yes"]), "other": features(["null", "a: b # c"])}
    folder("configs", infos, {"answers": "answers/*.jsonl", "other": "files/b.jsonl"})
    names["configs/answers/train.jsonl"] = names_of(OUT / "configs", "answers")
    names["configs/files/b.jsonl"] = names_of(OUT / "configs", "other")

    labelled(OUT / "legacy/train.jsonl")
    legacy("legacy", {"default": features(["neg", "pos"])})
    names["legacy/train.jsonl"] = names_of(OUT / "legacy", "default")

    (OUT / "names.json").write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
