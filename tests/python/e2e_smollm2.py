"""Trains SmolLM2-135M-Instruct in GGUF (Q4_1) on E2E NLG with `peft` and with Python's PEFT, from the same start.

    python e2e_smollm2.py FOLDER_OF_THE_GGUF_FILE --peft-binary PEFT --work DIR
    python e2e_smollm2.py FOLDER_OF_THE_GGUF_FILE --peft-binary PEFT --work DIR --steps 20 --test-rows 48 --methods prompt --keep

The first compares 300 steps and prints a table (PEFT takes about 35 minutes of a core for each method), the second makes
tests/vectors/e2e/smollm2.json, what PEFT does in 20 steps, which tests/tests/real.rs compares with.

Rows. dev.jsonl and test.jsonl are each shuffled with random.Random(0).shuffle, as in e2e_baseline.py: the first 8 * steps rows of dev train,
the first 256 of test score. `peft` reads their texts and encodes them itself, with the tokenizer of the GGUF file; PEFT gets the
tokens of transformers' tokenizer: the source with its special tokens, " " + target without, then the end token. Only target and end
token have labels.

Training. 20 virtual tokens, batches of 8 consecutive rows, AdamW (betas 0.9 and 0.999, eps 1e-8) with weight decay 0.01 on everything that is
trained, gradients clipped to a norm of 1 (see `clip`), rate lr * (1 - s / steps) at step s = 0, 1, ...; no dropout. `peft` keeps the frozen matrices
as the file has them (Q4_1), PEFT has them in f32.

Start. `peft` draws it from seed 0, and PEFT copies it from a checkpoint that `peft` wrote after one step with a rate of 1e-30. The MLP of prefix
tuning has the paper's input of H numbers on both sides: PEFT's own has K * D on a model with grouped-query attention, so its two layers are replaced.

Perplexity is exp(nll / labelled tokens) over target tokens and end tokens of the test rows. Over 49,152 classes torch's cross entropy in f32
is 1.2e-5 to 1.6e-5 below its own in f64, which ours equals to 2e-6.

Needs gguf, torch, transformers and peft; one thread. Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
import json
import random
import subprocess
from pathlib import Path

import torch
from common import SHARED, VECTORS, quiet, read_jsonl, write_json, write_jsonl
from e2e_baseline import BATCH, IGNORE, P, collate, perplexity

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
# The MLP at 0.001 is unstable in its first ten steps.
RATES = {"prompt": 0.03, "prefix": 0.0003, "ptv2": 0.03}
WEIGHT_DECAY, CLIP_NORM, HIDDEN = 0.01, 1.0, 512
SHOWN = (1, 50, 100, 200, 300)


def shuffled(path, count):
    rows = read_jsonl(path)
    random.Random(0).shuffle(rows)
    return rows[:count]


def encoded(tokenizer, records):
    rows = []
    for record in records:
        source = tokenizer(record["source"])["input_ids"]
        target = tokenizer(" " + record["target"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        rows.append({"input_ids": source + target, "labels": [IGNORE] * len(source) + target})
    return rows


# Ours


class Ours:
    """The program, on the rows in the work folder."""

    def __init__(self, args):
        self.args = args

    def run(self, *arguments):
        command = [self.args.peft_binary, *map(str, arguments)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def train(self, out, method, train, steps, lr, *more):
        """One pass over the rows in the file's order; their losses."""
        self.run(
            "train", "--model", self.args.folder, "--method", method, "--task", "causal-lm", "--train", train, "--out", out, "--overwrite",
            "--target-template", " {target}", "--num-virtual-tokens", P, "--steps", steps, "--batch-size", BATCH, "--no-shuffle",
            "--lr", lr, "--weight-decay", WEIGHT_DECAY, "--clip-norm", CLIP_NORM, *more,
        )  # fmt: skip
        return [line["loss"] for line in read_jsonl(out / "metrics.jsonl")]

    def score(self, test, adapter=None):
        given = ["--adapter", adapter] if adapter else ["--target-template", " {target}"]
        return json.loads(self.run("eval", "--model", self.args.folder, "--data", test, "--json", *given))["perplexity"]

    def start(self, method, train):
        """The parameters that training starts from, flat, under their last names."""
        from safetensors.torch import load_file

        out = self.args.work / f"{method}-start"
        self.train(out, method, train, 1, 1e-30, "--checkpoint-every", 1)
        state = load_file(out / "checkpoints" / "step-000001" / "state.safetensors")
        return {name.rsplit(".", 1)[-1]: value for name, value in state.items() if name.startswith("learner/")}


# PEFT


def new_model(base, method, start):
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    common = {"task_type": "CAUSAL_LM", "num_virtual_tokens": P}
    if method == "prompt":
        config = PromptTuningConfig(**common)
    else:
        config = PrefixTuningConfig(**common, prefix_projection=method == "prefix", encoder_hidden_size=HIDDEN)
    model = get_peft_model(base, config).eval()
    encoder = model.prompt_encoder["default"]
    if method == "prefix":
        width = base.config.hidden_size
        encoder.embedding = torch.nn.Embedding(P, width)
        encoder.transform[0] = torch.nn.Linear(width, HIDDEN)
        first, last = encoder.transform[0], encoder.transform[2]
        trained = {
            "embedding": encoder.embedding.weight,
            "weight_in": first.weight,
            "bias_in": first.bias,
            "weight_out": last.weight,
            "bias_out": last.bias,
        }
    else:
        (name,) = start
        trained = {name: encoder.embedding.weight}
    assert start.keys() == trained.keys(), f"{start.keys()} for {trained.keys()}"
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(start[name].view(parameter.shape))
    return model


def clip(parameters):
    """As clip_grad_norm_, with the norm in f64: in f32, that of the MLP's 6.2 million gradients was 0.06 % too small.

    The steps that follow are then too large by as much, and the losses 0.5 apart when an MLP's training is at its least stable.
    """
    norm = sum(p.grad.double().square().sum() for p in parameters).sqrt().item()
    for parameter in parameters:
        parameter.grad.mul_(min(1.0, CLIP_NORM / (norm + 1e-6)))


def train(model, rows, lr, steps):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=WEIGHT_DECAY)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        optimizer.zero_grad()
        loss = model(**collate(rows[step * BATCH : (step + 1) * BATCH])).loss
        loss.backward()
        clip(trained)
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0:
            print(f"  step {step + 1}: {losses[-1]:.4f}", flush=True)
    return losses


# Both


def race(args):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    steps, ours = args.steps, Ours(args)
    args.work.mkdir(parents=True, exist_ok=True)
    data = args.shared / "data" / "e2e-nlg"
    splits = {"train": shuffled(data / "dev.jsonl", steps * BATCH), "test": shuffled(data / "test.jsonl", args.test_rows)}
    files = {split: args.work / f"{split}.jsonl" for split in splits}
    for split, records in splits.items():
        write_jsonl(files[split], records)
    tokenizer = AutoTokenizer.from_pretrained(args.folder, gguf_file=NAME)
    rows = {split: encoded(tokenizer, records) for split, records in splits.items()}

    def load():
        model = AutoModelForCausalLM.from_pretrained(args.folder, gguf_file=NAME, dtype=torch.float32)
        return model.requires_grad_(False).eval()

    base = {"ours": ours.score(files["test"]), "peft": perplexity(load(), rows["test"])}
    print(f"frozen base: {base}", flush=True)
    result = {
        "steps": steps, "batch_size": BATCH, "num_virtual_tokens": P, "weight_decay": WEIGHT_DECAY, "clip_norm": CLIP_NORM,
        "train_rows": len(rows["train"]), "test_rows": len(rows["test"]), "base": base, "methods": {},
    }  # fmt: skip
    for method in args.methods.split(","):
        lr, out = RATES[method], args.work / f"{method}-ours"
        found = {"lr": lr, "ours": {"losses": ours.train(out, method, files["train"], steps, lr)}}
        found["ours"]["perplexity"] = ours.score(files["test"], out)
        print(f"{method}, ours: {found['ours']['perplexity']:.4f}", flush=True)
        model = new_model(load(), method, ours.start(method, files["train"]))
        found["peft"] = {"losses": train(model, rows["train"], lr, steps), "perplexity": perplexity(model, rows["test"])}
        ratio = found["ours"]["perplexity"] / found["peft"]["perplexity"]
        print(f"{method}, PEFT: {found['peft']['perplexity']:.4f}; ours / PEFT {ratio:.4f}", flush=True)
        result["methods"][method] = found
        write_json(args.work / "result.json", result)
    return result


def table(result):
    """The losses of chosen steps and the perplexities, as Markdown."""
    shown = [step for step in SHOWN if step <= result["steps"]]
    lines = [["method", "", *(f"step {step}" for step in shown), "perplexity", "ours / PEFT"], ["---"] * (len(shown) + 4)]
    for method, found in result["methods"].items():
        for side in ("ours", "peft"):
            losses = [f"{found[side]['losses'][step - 1]:.4f}" for step in shown]
            ratio = f"{found['ours']['perplexity'] / found['peft']['perplexity']:.4f}" if side == "ours" else ""
            lines.append([f"{method}, {found['lr']}", side, *losses, f"{found[side]['perplexity']:.4f}", ratio])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def vectors(result):
    """What PEFT did, for the test."""
    rounded = lambda losses: [round(loss, 6) for loss in losses]  # noqa: E731
    methods = {
        method: {"lr": found["lr"], "losses": rounded(found["peft"]["losses"]), "perplexity": round(found["peft"]["perplexity"], 5)}
        for method, found in result["methods"].items()
    }
    return {**result, "base": round(result["base"]["peft"], 5), "methods": methods}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peft-binary", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--test-rows", type=int, default=256)
    parser.add_argument("--methods", default=",".join(RATES))
    parser.add_argument("--keep", action="store_true", help="write what PEFT did to tests/vectors/e2e/smollm2.json")
    args = parser.parse_args()
    quiet()
    result = race(args)
    print(f"frozen base: {result['base']}\n{table(result)}")
    if args.keep:
        write_json(VECTORS / "e2e" / "smollm2.json", vectors(result))


if __name__ == "__main__":
    main()
