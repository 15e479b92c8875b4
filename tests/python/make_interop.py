"""Makes vectors/interop: adapters that the `peft` program trained, and the logits that the real PEFT computes with them.

    python make_interop.py --peft ../../target/release/peft [--out ../vectors/interop] [--only gpt2-prompt t5-prompt]
    python make_interop.py --check [--only gpt2-prompt]
    python make_interop.py --rows

One folder per case:
- adapter_config.json, adapter_model.safetensors, burn_peft.json: as `peft train` left them, from a fixed seed and the rows of vectors/training,
  or of rows/ (made by --rows) where training has none: {"input_ids", "label"}, for question answering {"input_ids",
  "start_positions", "end_positions"}, for encoder-decoders {"input_ids", "labels"}, labels being the decoder's targets;
- logits.safetensors: PEFT's logits of the base's rows.jsonl, each row alone and unpadded (check_interop.py);
- if PEFT must refuse the adapter (a subset of the layers, three sites), no logits: the reason is in result.json.

result.json: versions, the command of each case and what PEFT said. Cases that --only leaves out stay as they are.

--check trains nothing: it computes PEFT's logits of the committed adapters again, compares them with the committed ones
(within 1e-5 of their scale), and checks that PEFT still refuses what it must. Exit code 0 if all is as expected, else 1.

The last bits of an adapter depend on the processor that trained it. They do not matter here: what matters is that no other
reader or writer comes between the two programs.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import peft
import torch
import transformers
from check_interop import logits, refusal
from common import VECTORS, fresh, generator, quiet, random_ids, read_jsonl, save_rows, write_json, write_jsonl
from safetensors.torch import load_file

ROOT = VECTORS.parents[1]
FILES = ("adapter_config.json", "adapter_model.safetensors", "burn_peft.json")
COMMON = ("--steps", "30", "--batch-size", "8", "--weight-decay", "0.01", "--seed", "11")
METHODS = {
    "prompt": ["--method", "prompt", "--num-virtual-tokens", "6", "--init", "vocab", "--lr", "0.1"],
    "prefix": ["--method", "prefix", "--num-virtual-tokens", "5", "--prefix-hidden-size", "12", "--lr", "0.02"],
    "ptv2": ["--method", "ptv2", "--num-virtual-tokens", "4", "--lr", "0.1"],
}
# base: the program's name for its task, rows
BASES = {
    "gpt2": ("causal-lm", "training/gpt2-prompt/rows.jsonl"),
    "llama": ("causal-lm", "training/llama-prefix/rows.jsonl"),
    # The same vocabulary as llama.
    "qwen2": ("causal-lm", "training/llama-prefix/rows.jsonl"),
    "bert": ("seq-cls", "training/bert-prefix/rows.jsonl"),
    "roberta-cls": ("seq-cls", "interop/rows/roberta-cls.jsonl"),
    "bert-tok": ("token-cls", "training/bert-tok-prefix/rows.jsonl"),
    "bert-qa": ("qa", "interop/rows/bert-qa.jsonl"),
    "gpt2-cls": ("seq-cls", "interop/rows/gpt2-cls.jsonl"),
    "t5": ("seq2seq-lm", "interop/rows/t5.jsonl"),
    "bart": ("seq2seq-lm", "interop/rows/bart.jsonl"),
}
# case: base, rows in vectors, whether PEFT loads it, flags
CASES = {
    "gpt2-prompt": (
        "gpt2", "training/gpt2-prompt/rows.jsonl", True,
        ["--method", "prompt", "--task", "causal-lm", "--num-virtual-tokens", "6", "--init", "random", "--lr", "0.1"],
    ),
    "llama-prefix": (
        "llama", "training/llama-prefix/rows.jsonl", True,
        ["--method", "prefix", "--task", "causal-lm", "--num-virtual-tokens", "5", "--prefix-hidden-size", "12", "--lr", "0.02"],
    ),
    "bert-ptv2": (
        "bert", "training/bert-prefix/rows.jsonl", True,
        ["--method", "ptv2", "--task", "seq-cls", "--num-virtual-tokens", "4", "--prefix-dropout", "0.1", "--lr", "0.1"],
    ),
    "bert-tok-prompt": (
        "bert-tok", "training/bert-tok-prefix/rows.jsonl", True,
        ["--method", "prompt", "--task", "token-cls", "--num-virtual-tokens", "3", "--init", "vocab", "--lr", "0.1"],
    ),
    "gpt2-ptv2-layers": (
        "gpt2", "training/gpt2-ptv2/rows.jsonl", False,
        ["--method", "ptv2", "--task", "causal-lm", "--num-virtual-tokens", "4", "--layers", "1-2", "--lr", "0.1"],
    ),
    # Under PEFT's type P_TUNING, whose rows it must take as they are.
    "gpt2-p-tuning-lstm": (
        "gpt2", "training/gpt2-prompt/rows.jsonl", True,
        ["--method", "prompt", "--task", "causal-lm", "--num-virtual-tokens", "6", "--reparameterization", "lstm",
         "--encoder-hidden-size", "8", "--encoder-dropout", "0.1", "--lr", "0.02"],
    ),
    "bert-p-tuning-mlp": (
        "bert", "training/bert-prefix/rows.jsonl", True,
        ["--method", "prompt", "--task", "seq-cls", "--num-virtual-tokens", "4", "--reparameterization", "mlp", "--lr", "0.02"],
    ),
    "t5-p-tuning-lstm": (
        "t5", "interop/rows/t5.jsonl", True,
        ["--method", "prompt", "--task", "seq2seq-lm", "--num-virtual-tokens", "5", "--reparameterization", "lstm",
         "--encoder-num-layers", "1", "--lr", "0.02"],
    ),
}  # fmt: skip
for base, (task, rows) in BASES.items():
    for method, flags in METHODS.items():
        seq2seq = task == "seq2seq-lm"
        if seq2seq and method == "ptv2":
            continue
        # A prefix of an encoder-decoder has three sites: PEFT has no such type and must refuse it.
        sites = seq2seq and method == "prefix"
        case = f"{base}-{method}-sites" if sites else f"{base}-{method}"
        CASES.setdefault(case, (base, rows, not sites, [*flags[:2], "--task", task, *flags[2:]]))


def make_rows(base, gen):
    """Training rows that follow a rule which a tiny model can partly learn."""
    config = json.loads((VECTORS / "logits" / base / "config.json").read_text(encoding="utf-8"))
    rows = []
    for _ in range(40):
        ids = random_ids(gen, 4, config["vocab_size"], 4 + int(torch.randint(0, 9, (1,), generator=gen)))
        if base == "roberta-cls":
            ids[0] = config["bos_token_id"]
        elif base == "bert-qa":
            ids[0] = 2
        row = {"input_ids": ids}
        if BASES[base][0] == "seq2seq-lm":
            # The input reversed, and the end token. These are targets: the model puts decoder_start_token_id in front.
            row["labels"] = [*ids[::-1][:6], config["eos_token_id"]]
        elif BASES[base][0] == "qa":
            largest = max(range(1, len(ids)), key=ids.__getitem__)
            row.update(start_positions=largest, end_positions=min(largest + 1, len(ids) - 1))
        else:
            row["label"] = sum(ids) % len(config["id2label"])
        rows.append(row)
    return rows


def train(program, case, folder):
    """Paths are relative to the repository's root, so that the adapter's config holds no local path."""
    base, rows, _, flags = CASES[case]
    command = ["train", "--model", f"tests/vectors/logits/{base}", "--train", f"tests/vectors/{rows}"]
    command += [*flags, *COMMON]
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([str(program), *command, "--out", f"{out}/run"], cwd=ROOT, check=True)
        for name in FILES:
            shutil.copyfile(f"{out}/run/{name}", folder / name)
    return " ".join(["peft", *command])


def base_logits(base, folder=None):
    dir = VECTORS / "logits" / base
    return logits(dir, folder, read_jsonl(dir / "rows.jsonl")) if folder else load_file(str(dir / "base.safetensors"))


def check(out, wanted):
    """The deviations from what is expected."""
    wrong = []
    for case in wanted:
        base, _, loads, _ = CASES[case]
        reason = refusal(VECTORS / "logits" / base, out / case)
        print(f"{case}: {'refused: ' + reason if reason else 'PEFT loads it'}")
        if loads == bool(reason):
            wrong.append(f"{case}: PEFT {'refuses' if loads else 'loads'} it")
        elif loads:
            expected = load_file(str(out / case / "logits.safetensors"))
            found = base_logits(base, out / case)
            pairs = [(tensor, expected[f"row_{i:05d}"]) for i, tensor in enumerate(found)]
            difference = max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)
            print(f"  logits within {difference:.1e} of the committed ones")
            if not difference < 1e-5:
                wrong.append(f"{case}: the logits differ by {difference}")
    return wrong


def committed(out):
    """The cases of result.json."""
    path = out / "result.json"
    return json.loads(path.read_text(encoding="utf-8"))["cases"] if path.is_file() else {}


def make(program, out, wanted):
    """Makes the wanted cases; other cases of result.json stay as they are."""
    cases = committed(out)
    for case in wanted:
        base, _, loads, _ = CASES[case]
        folder = fresh(out / case)
        command = train(program, case, folder)
        reason = refusal(VECTORS / "logits" / base, folder)
        if loads == bool(reason):
            sys.exit(f"{case}: {reason or 'PEFT loads it'}")
        if loads:
            found = base_logits(base, folder)
            plain = base_logits(base)
            moved = max((t - plain[f"row_{i:05d}"]).abs().max().item() for i, t in enumerate(found))
            print(f"{case}: the adapter moves logits by {moved:.2f}")
            save_rows(folder / "logits.safetensors", found)
        cases[case] = {
            "model": f"tests/vectors/logits/{base}",
            "command": command,
            "peft": f"refuses it: {reason}" if reason else "loads it",
        }
        versions = {m.__name__: m.__version__ for m in (torch, transformers, peft)}
        write_json(out / "result.json", {"versions": versions, "cases": {c: cases[c] for c in CASES if c in cases}})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peft", type=Path, help="the program, needed without --check and --rows")
    parser.add_argument("--out", type=Path, default=VECTORS / "interop")
    parser.add_argument("--only", nargs="+", choices=CASES, help="these cases; with --check those of result.json if not given")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--rows", action="store_true", help="make rows/ and nothing else")
    args = parser.parse_args()
    quiet()
    if args.rows:
        (args.out / "rows").mkdir(parents=True, exist_ok=True)
        for seed, (base, (_, rows)) in enumerate(BASES.items()):
            if rows.startswith("interop/"):
                write_jsonl(args.out / rows.removeprefix("interop/"), make_rows(base, generator(7000 + seed)))
        return 0
    if args.check:
        wrong = check(args.out, args.only or committed(args.out))
        print("\n".join(wrong) or "as expected")
        return 1 if wrong else 0
    if not args.peft:
        parser.error("--peft is needed")
    make(args.peft.resolve(), args.out, args.only or CASES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
