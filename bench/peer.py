"""The peer: what a user of PyTorch and Hugging Face PEFT writes to do what `peft` does. race.py starts it, one process per run.

    python peer.py adapter  --model M --task causal-lm --method prompt --num-virtual-tokens 20 --out DIR
    python peer.py train    --model M --task causal-lm --method prompt --num-virtual-tokens 20 --train rows.jsonl --out DIR ...
    python peer.py generate --model M --adapter DIR --input rows.jsonl --output out.jsonl --max-new-tokens 64
    python peer.py predict  --model M --adapter DIR --input texts.jsonl --output out.jsonl
    python peer.py about    --device cuda
    python peer.py peak     --device cuda --size 8192

f32 (or `torch.autocast` in bf16), transformers' default attention (sdpa), AdamW on the trained parameters only, gradients set to None. The frozen base is in
evaluation mode, as it is in `peft`: without dropout both do the same work, and the peer is faster for it.

`train --device cuda` trains on a card, with the frozen base in `--dtype`; products in f32 may then be in TF32.
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

TASK_TYPES = {"causal-lm": "CAUSAL_LM", "seq2seq-lm": "SEQ_2_SEQ_LM", "seq-cls": "SEQ_CLS", "token-cls": "TOKEN_CLS"}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


# Models and adapters


def load_base(folder, task, classes=None, dtype=torch.float32):
    """A model folder, or a GGUF file, whose matrices are widened."""
    if task == "causal-lm":
        from transformers import AutoModelForCausalLM

        path = Path(folder)
        place = {"gguf_file": path.name} if path.is_file() else {}
        return AutoModelForCausalLM.from_pretrained(path.parent if path.is_file() else path, dtype=dtype, **place)
    if task == "seq2seq-lm":
        from transformers import AutoModelForSeq2SeqLM

        return AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=dtype)
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    kind = AutoModelForTokenClassification if task == "token-cls" else AutoModelForSequenceClassification
    return kind.from_pretrained(folder, dtype=dtype, num_labels=classes)


def new_adapter(base, args):
    """`prompt`, `prefix` (through the MLP) or `ptv2` (keys and values alone), from the seed."""
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    torch.manual_seed(args.seed)
    common = {"task_type": TASK_TYPES[args.task], "num_virtual_tokens": args.num_virtual_tokens}
    if args.task == "seq2seq-lm":
        # The encoder's: PEFT stores as many again for the decoder, and reads them nowhere.
        common["num_transformer_submodules"] = 1
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

    def padded(lists, fill):
        longest = max(map(len, lists))
        return torch.tensor([values + [fill] * (longest - len(values)) for values in lists])

    batch = {
        "input_ids": padded([row["input_ids"] for row in rows], 0),
        "attention_mask": padded([[1] * len(row["input_ids"]) for row in rows], 0),
    }
    if "label" in rows[0]:
        batch["labels"] = torch.tensor([row["label"] for row in rows])
    elif "labels" in rows[0]:
        batch["labels"] = padded([row["labels"] for row in rows], IGNORE)
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
    on_card = args.device != "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    model = new_adapter(load_base(args.model, args.task, classes and len(classes), DTYPES[args.dtype]), args).eval()
    if args.init_adapter:
        start_from(model, args.init_adapter)
    if args.save_start:
        save_adapter(model, args.save_start)
    model.to(args.device)
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
            batch = {name: values.to(args.device) for name, values in next(supply).items()}
            with torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.autocast):
                loss = forward(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            line = {"step": step + 1, "loss": loss.item(), "seconds": time.perf_counter() - start}
            if on_card:
                line["allocated_mb"] = torch.cuda.max_memory_allocated(args.device) / 1e6
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()
    result = {"trained_parameters": sum(p.numel() for p in trained)}
    if args.valid:
        result["accuracy"] = accuracy(model, load_rows(args.valid, args, classes)[0], args.batch_size)
    save_adapter(model, args.out)
    print(json.dumps(result))


def about(args):
    """What there is of the peer, and on what it would compute."""
    import peft
    import transformers

    found = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    if args.device != "cpu":
        # An error here is the answer: torch has no such device.
        torch.zeros(1, device=args.device)
        found |= {"card": torch.cuda.get_device_name(args.device), "cuda": torch.version.cuda}
    print(json.dumps(found))


def peak(args):
    """Operations a second that a product of two square matrices reaches, by the type: the best of some."""
    on_card = args.device != "cpu"
    found = {}
    for name, dtype, tf32 in (("f32", torch.float32, False), ("tf32", torch.float32, True), ("bf16", torch.bfloat16, False)):
        if name == "tf32" and not on_card:
            continue
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(args.size, args.size, device=args.device).to(dtype) for _ in range(2))
        seconds = []
        for _ in range(args.repeats):
            start = time.perf_counter()
            (a @ b).flatten()[0].item()
            seconds.append(time.perf_counter() - start)
        found[name] = 2 * args.size**3 / min(seconds)
    print(json.dumps(found))


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

    def command(name, run, uses_model=True):
        found = commands.add_parser(name)
        found.set_defaults(run=run)
        if uses_model:
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
    training.add_argument("--save-start", metavar="DIR", help="write the adapter before the first step, for another to start from")
    training.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    training.add_argument("--dtype", choices=DTYPES, default="f32", help="of the frozen base")
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

    for name, run in (("about", about), ("peak", peak)):
        use = command(name, run, uses_model=False)
        use.add_argument("--device", default="cpu")
        if name == "peak":
            use.add_argument("--size", type=int, required=True)
            use.add_argument("--repeats", type=int, default=10)

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
