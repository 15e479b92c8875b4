"""Makes vectors/training/bert-joint: twenty steps of PEFT and torch's AdamW on two tasks that share a prefix.

    python make_joint.py [--out ../vectors/training] [--logits ../vectors/logits]

Two PEFT models have one encoder and one prompt encoder between them: a classifier of rows (the adapter and the rows of
training/bert-prefix, through BERT's pooler) and a tagger (the rows of training/bert-tok-prefix), each with its own head. The loss of
a step is that of four rows to classify plus half of that of four rows to tag, each a mean over its labels; AdamW, as in
make_training.py, updates the prefix and both heads.

- tags_init.safetensors: the tagger's head before the first step, classifier.weight and classifier.bias;
- losses.json: learning rate and so on, `losses` (of the step), `classes` and `tags` (of each task), each before its update;
- final.safetensors: prompt_embeddings, and {classes,tags}.classifier.{weight,bias} after step 20.

Everything runs again in f64, to print how far rounding alone moves losses and final tensors.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
import copy
from pathlib import Path

import torch
from common import VECTORS, auto_class, fresh, generator, load_base, peft_config, quiet, read_jsonl, write_json
from make_training import BATCH, STEPS, batch_of, collate
from peft import get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

LR, WEIGHT_DECAY, WEIGHT_OF_TAGS, SEED = 0.02, 0.01, 0.5, 3100


def prefix_of(model):
    return model.prompt_encoder["default"].embedding


def head_of(model):
    """The trained copy of the head, which PEFT keeps beside the frozen one."""
    return model.get_base_model().classifier.modules_to_save["default"]


def make_models(folder, init, num_tags):
    base = load_base(folder, "SEQ_CLS")
    config = AutoConfig.from_pretrained(folder)
    config.num_labels = num_tags
    tagger = auto_class("TOKEN_CLS").from_config(config).eval()
    tagger.bert = base.bert
    classes = get_peft_model(base, peft_config("prefix", "SEQ_CLS")).eval()
    tags = get_peft_model(tagger, peft_config("prefix", "TOKEN_CLS")).eval()
    # One parameter in two models.
    prefix_of(tags).weight = prefix_of(classes).weight
    start = load_file(str(init / "adapter_model.safetensors"))
    gen = generator(SEED)
    with torch.no_grad():
        prefix_of(classes).weight.copy_(start["prompt_embeddings"])
        for name, parameter in head_of(classes).named_parameters():
            own = [value for key, value in start.items() if key.endswith(f"classifier.{name}")]
            assert len(own) == 1, list(start)
            parameter.copy_(own[0])
        for _, parameter in sorted(head_of(tags).named_parameters()):
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=gen))
    return classes, tags


def trained_of(classes, tags):
    named = {"prompt_embeddings": prefix_of(classes).weight}
    for task, model in (("classes", classes), ("tags", tags)):
        named |= {f"{task}.classifier.{name}": p for name, p in head_of(model).named_parameters()}
    found = {id(p) for model in (classes, tags) for p in model.parameters() if p.requires_grad}
    assert found == {id(p) for p in named.values()}, "something else is trained"
    return named


def train(classes, tags, rows):
    named = trained_of(classes, tags)
    optimizer = torch.optim.AdamW(
        named.values(), lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=WEIGHT_DECAY, foreach=False
    )
    losses = {"losses": [], "classes": [], "tags": []}
    for step in range(STEPS):
        optimizer.zero_grad()
        of_classes = classes(**collate(batch_of(rows[0], step))).loss
        of_tags = tags(**collate(batch_of(rows[1], step))).loss
        loss = of_classes + WEIGHT_OF_TAGS * of_tags
        loss.backward()
        optimizer.step()
        for key, value in (("losses", loss), ("classes", of_classes), ("tags", of_tags)):
            losses[key].append(value.item())
    return losses, {name: p.detach().clone().contiguous() for name, p in named.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "training")
    parser.add_argument("--logits", type=Path, default=VECTORS / "logits")
    args = parser.parse_args()
    quiet()
    rows = [read_jsonl(VECTORS / "training" / name / "rows.jsonl") for name in ("bert-prefix", "bert-tok-prefix")]
    num_tags = 1 + max(label for row in rows[1] for label in row["labels"])
    folder = fresh(args.out / "bert-joint")
    init = VECTORS / "training" / "bert-prefix" / "init"
    classes, tags = make_models(args.logits / "bert", init, num_tags)
    start = {f"classifier.{name}": p.detach().clone() for name, p in head_of(tags).named_parameters()}
    save_file(start, str(folder / "tags_init.safetensors"))
    # Copied together, so that the copies share what these share.
    double = [model.double() for model in copy.deepcopy((classes, tags))]
    assert prefix_of(double[0]).weight is prefix_of(double[1]).weight
    losses, final = train(classes, tags, rows)
    save_file(final, str(folder / "final.safetensors"))
    settings = {"lr": LR, "weight_decay": WEIGHT_DECAY, "weight_of_tags": WEIGHT_OF_TAGS, "batch_size": BATCH, "steps": STEPS}
    write_json(folder / "losses.json", settings | losses)
    losses64, final64 = train(*double, rows)
    rounding = max((final[name] - final64[name]).abs().max().item() for name in final)
    drift = max(abs(a - b) for a, b in zip(losses["losses"], losses64["losses"]))
    print(f"loss {losses['losses'][0]:.4f} -> {losses['losses'][-1]:.4f}, {sorted(final)}")
    print(f"f32 against f64: losses {drift:.1e}, final tensors {rounding:.1e}")


if __name__ == "__main__":
    main()
