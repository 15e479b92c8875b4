"""The peer: what a user of PyTorch and Hugging Face PEFT writes to do what `peft` does. race.py starts it, one process per run.

    python peer.py adapter  --model M --task causal-lm --method prompt --num-virtual-tokens 20 --out DIR
    python peer.py train    --model M --task causal-lm --method prompt --num-virtual-tokens 20 --train rows.jsonl --out DIR ...
    python peer.py generate --model M --adapter DIR --input rows.jsonl --output out.jsonl --max-new-tokens 64
    python peer.py predict  --model M --adapter DIR --input texts.jsonl --output out.jsonl

f32 (or `torch.autocast` in bf16), transformers' default attention (sdpa), AdamW on the trained parameters only, gradients set to None. The frozen base is in
evaluation mode, as it is in `peft`: without dropout both do the same work, and the peer is faster for it.
"""

import argparse
import json
import os
import time
from pathlib import Path

# Nothing is fetched from the Hub, and nothing is printed beside the results.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch  # noqa: E402
from rows import IGNORE, read_jsonl, write_jsonl  # noqa: E402

TASK_TYPES = {"causal-lm": "CAUSAL_LM", "seq-cls": "SEQ_CLS", "token-cls": "TOKEN_CLS"}


# Models and adapters


def load_base(folder, task, classes=None):
    """A model folder, or a GGUF file, whose matrices are widened."""
    if task == "causal-lm":
        from transformers import AutoModelForCausalLM

        path = Path(folder)
        place = {"gguf_file": path.name} if path.is_file() else {}
        return AutoModelForCausalLM.from_pretrained(path.parent if path.is_file() else path, dtype=torch.float32, **place)
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    kind = AutoModelForTokenClassification if task == "token-cls" else AutoModelForSequenceClassification
    return kind.from_pretrained(folder, dtype=torch.float32, num_labels=classes)


def new_adapter(base, args):
    """`prompt`, `prefix` (through the MLP) or `ptv2` (keys and values alone), from the seed."""
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    torch.manual_seed(args.seed)
    common = {"task_type": TASK_TYPES[args.task], "num_virtual_tokens": args.num_virtual_tokens}
    if args.method == "prompt":
        config = PromptTuningConfig(**common)
    elif args.method == "prefix":
        config = PrefixTuningConfig(**common, prefix_projection=True, encoder_hidden_size=args.prefix_hidden_size)
    else:
        config = PrefixTuningConfig(**common)
    return get_peft_model(base, config)


def start_from(model, folder):
    """Overwrites the new adapter's tensors: PEFT cannot load a soft prompt for further training."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(model, load_file(Path(folder) / "adapter_model.safetensors"))


def save_adapter(model, folder):
    model.save_pretrained(folder, save_embedding_layers=False)


# Rows


def load_rows(path, args, classes=None):
    """Rows of ids as they are, texts by the model's tokenizer; and the names of the classes."""
    records = read_jsonl(path)
    if "text" in records[0]:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(args.model)
        classes = classes or sorted({record["label"] for record in records})
        encoded = tokenizer([record["text"] for record in records])["input_ids"]
        return [{"input_ids": ids, "label": classes.index(r["label"])} for ids, r in zip(encoded, records)], classes
    if "label" in records[0]:
        classes = list(range(1 + max(record["label"] for record in records)))
    return records, classes


def collate(rows):
    """Pads on the right to the longest row of the batch, as transformers' collators do."""
    longest = max(len(row["input_ids"]) for row in rows)

    def pad(values, fill):
        return values + [fill] * (longest - len(values))

    batch = {
        "input_ids": torch.tensor([pad(row["input_ids"], 0) for row in rows]),
        "attention_mask": torch.tensor([pad([1] * len(row["input_ids"]), 0) for row in rows]),
    }
    if "label" in rows[0]:
        batch["labels"] = torch.tensor([row["label"] for row in rows])
    elif "labels" in rows[0]:
        batch["labels"] = torch.tensor([pad(row["labels"], IGNORE) for row in rows])
    return batch


def batches(rows, args, collate_fn=collate):
    """Endless batches, reshuffled for each pass over the rows; rows of similar length together if asked for."""
    from torch.utils.data import DataLoader

    order = torch.Generator().manual_seed(args.seed)
    if args.group_by_length:
        from transformers.trainer_pt_utils import LengthGroupedSampler

        lengths = [len(row["input_ids"]) for row in rows]
        chosen = {"sampler": LengthGroupedSampler(args.batch_size, lengths=lengths, generator=order)}
    else:
        chosen = {"shuffle": not args.no_shuffle, "generator": order}
    loader = DataLoader(rows, args.batch_size, collate_fn=collate_fn, **chosen)
    while True:
        yield from loader


# Commands


def make_adapter(args):
    base = load_base(args.model, args.task, args.classes)
    save_adapter(new_adapter(base, args), args.out)


def train(args):
    rows, classes = load_rows(args.train, args)
    model = new_adapter(load_base(args.model, args.task, classes and len(classes)), args).eval()
    if args.init_adapter:
        start_from(model, args.init_adapter)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=0.0)
    supply = batches(rows, args)
    # The adapter is saved from the model itself.
    forward = torch.compile(model) if args.compile else model
    with open(args.metrics_file, "w", encoding="utf-8") as metrics:
        for step in range(args.steps):
            start = time.perf_counter()
            if args.schedule == "linear":
                optimizer.param_groups[0]["lr"] = args.lr * (1 - step / args.steps)
            batch = next(supply)
            with torch.autocast("cpu", torch.bfloat16, enabled=args.autocast):
                loss = forward(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            line = {"step": step + 1, "loss": loss.item(), "seconds": time.perf_counter() - start}
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()
    result = {"trained_parameters": sum(p.numel() for p in trained)}
    if args.valid:
        result["accuracy"] = accuracy(model, load_rows(args.valid, args, classes)[0], args.batch_size)
    save_adapter(model, args.out)
    print(json.dumps(result))


@torch.inference_mode()
def probabilities(model, rows, batch_size):
    found = []
    for i in range(0, len(rows), batch_size):
        batch = collate(rows[i : i + batch_size])
        batch.pop("labels", None)
        found += model(**batch).logits.softmax(-1).tolist()
    return found


def accuracy(model, rows, batch_size):
    found = probabilities(model, rows, batch_size)
    return sum(p.index(max(p)) == row["label"] for p, row in zip(found, rows)) / len(rows)


def predict(args):
    from peft import PeftModel

    rows, classes = load_rows(args.input, args)
    base = load_base(args.model, "seq-cls", len(classes))
    model = PeftModel.from_pretrained(base, args.adapter[0], adapter_name="0")
    for i, folder in enumerate(args.adapter[1:], 1):
        model.load_adapter(folder, adapter_name=str(i))
    model.eval()
    answers = []
    for i in range(len(args.adapter)):
        model.set_adapter(str(i))
        answers.append(probabilities(model, rows, args.batch_size))
    # A row has a list of probabilities from each adapter.
    write_jsonl(args.output, [{"probabilities": row} for row in zip(*answers)])


@torch.inference_mode()
def generate(args):
    from peft import PeftModel

    model = PeftModel.from_pretrained(load_base(args.model, "causal-lm"), args.adapter[0]).eval()
    rows, outputs = read_jsonl(args.input), []
    for i in range(0, len(rows), args.batch_size):
        prompts = [row["input_ids"] for row in rows[i : i + args.batch_size]]
        longest = max(len(ids) for ids in prompts)
        ids = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts])
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
        made = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=args.max_new_tokens, do_sample=False, use_cache=True, pad_token_id=0
        )
        # Prompt tuning returns the new tokens only, a prefix the row as well.
        outputs += made[:, -args.max_new_tokens :].tolist()
    write_jsonl(args.output, [{"output_ids": ids} for ids in outputs])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name, run):
        found = commands.add_parser(name)
        found.set_defaults(run=run)
        found.add_argument("--model", required=True)
        found.add_argument("--threads", type=int, default=1)
        return found

    def method(to):
        to.add_argument("--task", choices=TASK_TYPES, required=True)
        to.add_argument("--method", choices=("prompt", "prefix", "ptv2"), required=True)
        to.add_argument("--num-virtual-tokens", type=int, required=True)
        to.add_argument("--prefix-hidden-size", type=int, default=512)
        to.add_argument("--seed", type=int, default=0)
        to.add_argument("--out", required=True)

    adapter = command("adapter", make_adapter)
    method(adapter)
    adapter.add_argument("--classes", type=int)

    training = command("train", train)
    method(training)
    training.add_argument("--train", required=True)
    training.add_argument("--valid")
    training.add_argument("--init-adapter")
    training.add_argument("--metrics-file", required=True)
    training.add_argument("--steps", type=int, required=True)
    training.add_argument("--batch-size", type=int, required=True)
    training.add_argument("--lr", type=float, required=True)
    training.add_argument("--schedule", choices=("constant", "linear"), default="linear")
    order = training.add_mutually_exclusive_group()
    order.add_argument("--no-shuffle", action="store_true")
    order.add_argument("--group-by-length", action="store_true", help="as transformers' Trainer does")
    training.add_argument("--compile", action="store_true", help="torch.compile")
    training.add_argument("--autocast", action="store_true", help="compute in bf16 what PyTorch deems safe")

    for name, run in (("generate", generate), ("predict", predict)):
        use = command(name, run)
        use.add_argument("--adapter", action="append", required=True)
        use.add_argument("--input", required=True)
        use.add_argument("--output", required=True)
        use.add_argument("--batch-size", type=int, default=32)
        if name == "generate":
            use.add_argument("--max-new-tokens", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    args = arguments()
    torch.set_num_threads(args.threads)
    args.run(args)
