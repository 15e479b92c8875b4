"""Makes vectors/training: twenty steps of PEFT and torch's AdamW from a fixed adapter over fixed rows.

    python make_training.py [--out ../vectors/training] [--logits ../vectors/logits] [--only gpt2-prompt]

One folder per case:
- init/: the adapter at step 0, as save_pretrained writes it (prefix-mlp, p-tuning, p-tuning-lstm: folded, since PEFT drops
  the layers that make it);
- init_mlp.safetensors, final_mlp.safetensors (only these): embedding.weight, and transform.{0,2}.{weight,bias} of a prefix,
  mlp_head.* and lstm_head.* of P-tuning;
- rows.jsonl: 40 rows of unequal lengths, {"input_ids", "labels"} or {"input_ids", "label"};
- losses.json: the base (relative to the case), task, learning rate and so on, `losses` (20 numbers, each before its update) and
  `targets` (the number of labels that each loss is the mean of);
- final/adapter_model.safetensors: the adapter after step 20.

Batches are four consecutive rows in file order, so that 20 steps pass twice over the file, padded on the right with a mask.
AdamW: betas 0.9 and 0.999, eps 1e-8, constant learning rate, decoupled weight decay on every trained tensor, heads and biases included.
No dropout (evaluation mode with gradients), no clipping. labels[i] is token i's own target, -100 is ignored. The loss of a batch
is the mean over its labels. Every sixth row labels its first token: the last virtual token of a prompt predicts it, so
it counts in gpt2-prompt and gpt2-p-tuning; with a prefix nothing predicts it and it does not count. Row 11 labels only its first token.

The script checks the first batch against rows run one by one, and runs everything again in f64 to print how far rounding
alone moves losses and final tensors.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
import shutil
from pathlib import Path

import torch
from common import (
    IGNORE,
    VECTORS,
    fresh,
    generator,
    load_adapter,
    load_base,
    new_adapter,
    peft_config,
    quiet,
    random_ids,
    row_logits,
    save_adapter,
    write_json,
    write_jsonl,
)
from names import TASKS
from peft import get_peft_model
from safetensors.torch import load_file, save_file

STEPS, BATCH, ROWS = 20, 4, 40
# case: base, kind, lr, weight decay, seed
CASES = {
    "gpt2-prompt": ("gpt2", "prompt", 0.05, 0.01, 3000),
    "gpt2-prefix": ("gpt2", "prefix", 0.02, 0.01, 3001),
    "gpt2-ptv2": ("gpt2", "prefix", 0.05, 0.01, 3002),
    "gpt2-prefix-mlp": ("gpt2", "prefix-mlp", 0.01, 0.01, 3003),
    "llama-prefix": ("llama", "prefix", 0.03, 0.01, 3004),
    "bert-prefix": ("bert", "prefix", 0.02, 0.01, 3005),
    "bert-prompt": ("bert", "prompt", 0.02, 0.01, 3006),
    "bert-tok-prefix": ("bert-tok", "prefix", 0.02, 0.01, 3007),
    "gpt2-p-tuning": ("gpt2", "p-tuning", 0.01, 0.01, 3008),
    "gpt2-p-tuning-lstm": ("gpt2", "p-tuning-lstm", 0.01, 0.01, 3009),
    "bert-p-tuning-lstm": ("bert", "p-tuning-lstm", 0.01, 0.01, 3010),
}
# Rows in front of the input, of which the last predicts the first token of a language model.
PROMPTS = ("prompt", "p-tuning", "p-tuning-lstm")
# What layers make that PEFT does not save.
MADE = ("prefix-mlp", "p-tuning", "p-tuning-lstm")


def causal_labels(gen, i, ids):
    if i == 11:
        return [ids[0]] + [IGNORE] * (len(ids) - 1)
    if i % 6 == 0:
        return list(ids)
    source = 1 + int(torch.randint(0, len(ids) - 1, (1,), generator=gen))
    labels = [IGNORE] * source + ids[source:]
    if i % 8 == 3 and len(ids) - source > 2:
        labels[-1] = IGNORE
    return labels


def make_rows(base, config, gen):
    rows = []
    for i in range(ROWS):
        length = 3 + int(torch.randint(0, 11, (1,), generator=gen))
        ids = random_ids(gen, 4, config.vocab_size, length)
        if TASKS[base] == "CAUSAL_LM":
            rows.append({"input_ids": ids, "labels": causal_labels(gen, i, ids)})
            continue
        ids[0] = 2
        if TASKS[base] == "SEQ_CLS":
            rows.append({"input_ids": ids, "label": sum(ids) % config.num_labels})
        else:
            tags = [IGNORE] + [t % config.num_labels for t in ids[1:]]
            if i % 5 == 1:
                tags[-1] = IGNORE
            rows.append({"input_ids": ids, "labels": tags})
    return rows


def collate(rows):
    longest = max(len(r["input_ids"]) for r in rows)

    def pad(key, value):
        return torch.tensor([r[key] + [value] * (longest - len(r[key])) for r in rows])

    mask = torch.tensor([[1] * len(r["input_ids"]) + [0] * (longest - len(r["input_ids"])) for r in rows])
    labels = pad("labels", IGNORE) if "labels" in rows[0] else torch.tensor([r["label"] for r in rows])
    return {"input_ids": pad("input_ids", 0), "attention_mask": mask, "labels": labels}


def batch_of(rows, step):
    return [rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)]


def targets(task, kind, rows):
    """The number of labels that the loss of these rows is the mean of."""
    if task == "SEQ_CLS":
        return len(rows)
    skip = 1 if task == "CAUSAL_LM" and kind not in PROMPTS else 0
    return sum(label != IGNORE for r in rows for label in r["labels"][skip:])


@torch.no_grad()
def one_by_one(model, task, kind, rows):
    """The loss of a batch from its rows run alone and unpadded."""
    total = 0.0
    for row in rows:
        if task == "CAUSAL_LM":
            ids = torch.tensor([row["input_ids"]])
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
            labels = torch.tensor(row["labels"])
            if kind in PROMPTS:
                logits = logits[-len(labels) - 1 : -1]
            else:
                logits, labels = logits[:-1], labels[1:]
        else:
            logits = row_logits(model, row)
            labels = torch.tensor(row["labels"] if task == "TOKEN_CLS" else [row["label"]])
            logits = logits if task == "TOKEN_CLS" else logits[None]
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum").item()
    return total / targets(task, kind, rows)


def train(model, rows, lr, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay, foreach=False)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = model(**collate(batch_of(rows, step))).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def mlp_tensors(model):
    encoder = model.prompt_encoder["default"]
    return {k: v.detach().float().contiguous().clone() for k, v in encoder.state_dict().items()}


def in_double(model, base_folder, task, kind):
    """The same model and adapter in f64."""
    base = load_base(base_folder, task).double()
    double = get_peft_model(base, peft_config(kind, task))
    double.load_state_dict(model.state_dict())
    double = double.double().eval()
    return double


def final_tensors(model, folder, name):
    save_adapter(model, folder, name)
    return load_file(str(folder / "adapter_model.safetensors"))


def make_case(case, out, logits):
    base_name, kind, lr, weight_decay, seed = CASES[case]
    task, base_folder, folder, gen = TASKS[base_name], logits / base_name, fresh(out / case), generator(seed)
    name = f"tests/vectors/logits/{base_name}"
    base = load_base(base_folder, task)
    rows = make_rows(base_name, base.config, gen)
    write_jsonl(folder / "rows.jsonl", rows)

    model = new_adapter(base, kind, task, gen, prompt_std=0.5, prefix_std=0.7)
    save_adapter(model, folder / "init", name)
    if kind in MADE:
        save_file(mlp_tensors(model), str(folder / "init_mlp.safetensors"))
    # PEFT does not load these methods as trainable, so the adapter that was saved is the one that is trained.
    double = in_double(model, base_folder, task, kind)
    loaded = load_adapter(load_base(base_folder, task), folder / "init")
    names = sorted(n for n, p in model.named_parameters() if p.requires_grad)

    alone = one_by_one(loaded, task, kind, batch_of(rows, 0))
    losses = train(model, rows, lr, weight_decay)
    assert abs(alone - losses[0]) < 2e-5, f"{case}: rows alone {alone}, batch {losses[0]}"
    final = final_tensors(model, folder / "final", name)
    (folder / "final" / "adapter_config.json").unlink()
    if kind in MADE:
        save_file(mlp_tensors(model), str(folder / "final_mlp.safetensors"))
    count = [targets(task, kind, batch_of(rows, s)) for s in range(STEPS)]
    write_json(
        folder / "losses.json",
        {
            "model": f"../../logits/{base_name}",
            "task_type": task,
            "kind": kind,
            "lr": lr,
            "weight_decay": weight_decay,
            "batch_size": BATCH,
            "steps": STEPS,
            "losses": losses,
            "targets": count,
        },
    )

    losses64 = train(double, rows, lr, weight_decay)
    final64 = final_tensors(double, folder / "f64", name)
    shutil.rmtree(folder / "f64")
    start = load_file(str(folder / "init" / "adapter_model.safetensors"))
    moved = max((final[k] - start[k]).abs().max().item() for k in final)
    rounding = max((final[k] - final64[k]).abs().max().item() for k in final)
    drift = max(abs(a - b) for a, b in zip(losses, losses64))
    print(f"{case}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, {sorted(final)}, moved {moved:.3f}")
    print(f"  f32 against f64: losses {drift:.1e}, final tensors {rounding:.1e}; trained {names}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "training")
    parser.add_argument("--logits", type=Path, default=VECTORS / "logits")
    parser.add_argument("--only", nargs="+", choices=CASES, help="these cases")
    args = parser.parse_args()
    quiet()
    for case in args.only or CASES:
        make_case(case, args.out, args.logits)


if __name__ == "__main__":
    main()
