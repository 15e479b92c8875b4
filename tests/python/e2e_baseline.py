"""Makes vectors/e2e: prompt tuning and prefix tuning by PEFT of stories260k on E2E NLG, as a baseline.

    python e2e_baseline.py [--out ../vectors/e2e] [--shared ../../../shared]
    python e2e_baseline.py --rows-only --out DIR      (only the row files; needs tokenizers, not torch)

Rows. dev.jsonl and test.jsonl are each shuffled with random.Random(0).shuffle. train_rows.jsonl: the first 1,600 of dev;
valid_rows.jsonl: the next 200 of dev; test_rows.jsonl: the first 600 of test. (dev is cut by line, so that valid shares
148 of its 161 sources with train; test shares no source and no target with dev.) A row is {"input_ids", "labels"}: the tokens of the source with the tokenizer's
own <s>, the tokens of " " + target, then </s> (id 2); labels are -100 on the source. Nothing is truncated or dropped (the longest
train row has 331 tokens) unless --max-length drops longer rows. The row files are not committed; their SHA-256 are in result.json and
the lines they are made of, counted from 0, in order.json.

Training. 20 virtual tokens, 200 steps of 8 consecutive rows (one pass over train), AdamW without weight decay (betas 0.9 and 0.999, eps 1e-8),
rate lr * (1 - s/200) at step s = 0, 1, ...; no dropout, no clipping. Prompt: initial rows are embeddings of 20 random ids. Prefix: keys and
values from N(0, 0.02), no MLP. The learning rate is the one of a small grid with the lowest perplexity on valid.
Perplexity is exp(nll / labelled tokens) over target tokens and </s>.

Results: result.json (grid, chosen rates, perplexities of each and of the frozen base, seconds, losses of the chosen runs before each update),
prompt/init, prompt/final, prefix/init, prefix/final: adapter folders, the final ones with the chosen rate.

Rounding. The same runs in f64 differ in the loss by at most 4e-5 (prompt) and 3e-6 (prefix) in the first 10 steps, 0.024 and 0.072 in all 200,
and end at test perplexities of 43.38 for 43.53 (prompt) and 30.61 for 30.89 (prefix).

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2, tokenizers 0.23.3, one thread.
"""

import argparse
import hashlib
import json
import math
import random
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
EOS, IGNORE = 2, -100
P, BATCH = 20, 8
GRID = {"prompt": (0.03, 0.1, 0.3, 1.0), "prefix": (0.03, 0.1, 0.3, 1.0)}
SPLITS = {"train": ("dev.jsonl", 0, 1600), "valid": ("dev.jsonl", 1600, 1800), "test": ("test.jsonl", 0, 600)}
BASE = "shared/models/stories260k"


def make_rows(shared, out, max_length):
    """Writes the three row files; gives the rows and the facts about the files."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(shared / "models" / "stories260k" / "tokenizer.json"))
    out.mkdir(parents=True, exist_ok=True)
    made, facts, orders = {}, {}, {}
    for split, (name, start, end) in SPLITS.items():
        text = (shared / "data" / "e2e-nlg" / name).read_text(encoding="utf-8")
        records = [json.loads(line) for line in text.split("\n") if line]
        order = list(range(len(records)))
        random.Random(0).shuffle(order)
        orders[split] = order[start:end]
        rows = []
        for record in (records[i] for i in orders[split]):
            source = tokenizer.encode(record["source"]).ids
            target = tokenizer.encode(" " + record["target"], add_special_tokens=False).ids + [EOS]
            rows.append({"input_ids": source + target, "labels": [IGNORE] * len(source) + target})
        rows = [r for r in rows if max_length is None or len(r["input_ids"]) <= max_length]
        content = "".join(json.dumps(r) + "\n" for r in rows).encode()
        (out / f"{split}_rows.jsonl").write_bytes(content)
        made[split] = rows
        facts[split] = {
            "rows": len(rows),
            "tokens": sum(len(r["input_ids"]) for r in rows),
            "labelled": sum(label != IGNORE for r in rows for label in r["labels"]),
            "longest": max(len(r["input_ids"]) for r in rows),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    (out / "order.json").write_text(json.dumps(orders) + "\n")
    return made, facts


def collate(rows):
    import torch

    longest = max(len(r["input_ids"]) for r in rows)

    def pad(values, fill):
        return values + [fill] * (longest - len(values))

    return {
        "input_ids": torch.tensor([pad(r["input_ids"], 0) for r in rows]),
        "attention_mask": torch.tensor([pad([1] * len(r["input_ids"]), 0) for r in rows]),
        "labels": torch.tensor([pad(r["labels"], IGNORE) for r in rows]),
    }


def perplexity(model, rows):
    import torch

    rows = sorted(rows, key=lambda r: len(r["input_ids"]))
    nll, count = 0.0, 0
    with torch.no_grad():
        for i in range(0, len(rows), 16):
            batch = collate(rows[i : i + 16])
            # No first token has a label, so that a prompt and a prefix have the same targets.
            labelled = int((batch["labels"] != IGNORE).sum())
            nll += model(**batch).loss.item() * labelled
            count += labelled
    return math.exp(nll / count)


def new_model(method, shared):
    """The base with the adapter of step 0, the same each time."""
    import torch
    from common import generator, load_base
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    base = load_base(shared / "models" / "stories260k", "CAUSAL_LM")
    config = {"prompt": PromptTuningConfig, "prefix": PrefixTuningConfig}[method](task_type="CAUSAL_LM", num_virtual_tokens=P)
    model = get_peft_model(base, config).eval()
    gen = generator(7)
    weight = model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        if method == "prompt":
            table = base.get_input_embeddings().weight
            weight.copy_(table[torch.randint(3, table.shape[0], (P,), generator=gen)])
        else:
            weight.copy_(0.02 * torch.randn(weight.shape, generator=gen))
    return model


def train(model, rows, lr, steps):
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    losses, start = [], time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - step / steps)
        optimizer.zero_grad()
        loss = model(**collate([rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)])).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE.parent / "vectors" / "e2e")
    parser.add_argument("--shared", type=Path, default=HERE.parents[2] / "shared")
    parser.add_argument("--rows-only", action="store_true")
    parser.add_argument("--max-length", type=int, help="drop longer rows")
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()

    rows, facts = make_rows(args.shared, args.out, args.max_length)
    print(json.dumps(facts, indent=2))
    if args.rows_only:
        return

    from common import fresh, load_base, quiet, save_adapter, write_json

    quiet()
    base = load_base(args.shared / "models" / "stories260k", "CAUSAL_LM")
    result = {
        "model": BASE,
        "data": "shared/data/e2e-nlg",
        "rows": facts,
        "num_virtual_tokens": P,
        "steps": args.steps,
        "batch_size": BATCH,
        "optimizer": "adamw",
        "weight_decay": 0.0,
        "schedule": "lr * (1 - step / steps)",
        "base": {"valid_perplexity": perplexity(base, rows["valid"]), "test_perplexity": perplexity(base, rows["test"])},
        "methods": {},
    }
    print("base", result["base"], flush=True)
    for method, grid in GRID.items():
        save_adapter(new_model(method, args.shared), fresh(args.out / method / "init"), BASE)
        runs = []
        for lr in grid:
            model = new_model(method, args.shared)
            before = perplexity(model, rows["valid"])
            losses, seconds = train(model, rows["train"], lr, args.steps)
            after = perplexity(model, rows["valid"])
            runs.append({"lr": lr, "valid_perplexity": after, "seconds": round(seconds, 1), "losses": losses, "model": model})
            print(f"{method} lr {lr}: valid {before:.3f} -> {after:.3f}, {seconds:.1f} s", flush=True)
        best = min(runs, key=lambda r: r["valid_perplexity"])
        save_adapter(best["model"], fresh(args.out / method / "final"), BASE)
        result["methods"][method] = {
            "lr": best["lr"],
            "initial_valid_perplexity": before,
            "valid_perplexity": best["valid_perplexity"],
            "test_perplexity": perplexity(best["model"], rows["test"]),
            "seconds": best["seconds"],
            "parameters": sum(p.numel() for p in best["model"].parameters() if p.requires_grad),
            "grid": [{k: r[k] for k in ("lr", "valid_perplexity", "seconds")} for r in runs],
            "losses": [round(x, 6) for x in best["losses"]],
        }
        print(f"{method}: lr {best['lr']}, test {result['methods'][method]['test_perplexity']:.3f}", flush=True)
    write_json(args.out / "result.json", result)


if __name__ == "__main__":
    main()
