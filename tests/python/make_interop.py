"""Makes vectors/interop: adapters that the `peft` program trained, and the logits that the real PEFT computes with them.

    python make_interop.py --peft ../../target/release/peft [--out ../vectors/interop] [--check]

One folder a case:
- adapter_config.json, adapter_model.safetensors: as `peft train` left them, from the rows of vectors/training and a fixed seed;
- logits.safetensors: PEFT's logits of the base's rows.jsonl, a row alone and unpadded (check_interop.py);
- or, where PEFT has to refuse the adapter (a subset of the layers), no logits: the reason is in result.json.

result.json: versions, the command of each case and what PEFT said.

--check trains nothing: it computes PEFT's logits of the committed adapters again and compares them with the committed ones
(within 1e-5 of their scale), and that PEFT still refuses what it has to. Exit code 0 if all is as expected, else 1.

The bytes of an adapter depend on the processor that trained it, in the last bits; those of the committed ones do not
matter, only that nobody else's reader or writer enters between the two programs.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import peft
import torch
import transformers
from check_interop import logits, refusal
from common import VECTORS, fresh, quiet, read_jsonl, save_rows, write_json
from safetensors.torch import load_file

ROOT = VECTORS.parents[1]
FILES = ("adapter_config.json", "adapter_model.safetensors")
COMMON = ("--steps", "30", "--batch-size", "8", "--weight-decay", "0.01", "--seed", "11")
# case: base, rows of vectors/training, flags, whether PEFT loads it
CASES = {
    "gpt2-prompt": (
        "gpt2", "gpt2-prompt", True,
        ["--method", "prompt", "--task", "causal-lm", "--num-virtual-tokens", "6", "--init", "random", "--lr", "0.1"],
    ),
    "llama-prefix": (
        "llama", "llama-prefix", True,
        ["--method", "prefix", "--task", "causal-lm", "--num-virtual-tokens", "5", "--prefix-hidden-size", "12", "--lr", "0.02"],
    ),
    "bert-ptv2": (
        "bert", "bert-prefix", True,
        ["--method", "ptv2", "--task", "seq-cls", "--num-virtual-tokens", "4", "--prefix-dropout", "0.1", "--lr", "0.1"],
    ),
    "bert-tok-prompt": (
        "bert-tok", "bert-tok-prefix", True,
        ["--method", "prompt", "--task", "token-cls", "--num-virtual-tokens", "3", "--init", "vocab", "--lr", "0.1"],
    ),
    "gpt2-ptv2-layers": (
        "gpt2", "gpt2-ptv2", False,
        ["--method", "ptv2", "--task", "causal-lm", "--num-virtual-tokens", "4", "--layers", "1-2", "--lr", "0.1"],
    ),
}


def train(program, case, folder):
    """Paths are relative to the repository's root, so that the adapter's config names none of this machine."""
    base, rows, _, flags = CASES[case]
    command = ["train", "--model", f"tests/vectors/logits/{base}", "--train", f"tests/vectors/training/{rows}/rows.jsonl"]
    command += [*flags, *COMMON]
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([str(program), *command, "--out", f"{out}/run"], cwd=ROOT, check=True)
        for name in FILES:
            shutil.copyfile(f"{out}/run/{name}", folder / name)
    return " ".join(["peft", *command])


def base_logits(base, folder=None):
    dir = VECTORS / "logits" / base
    return logits(dir, folder, read_jsonl(dir / "rows.jsonl")) if folder else load_file(str(dir / "base.safetensors"))


def check(out):
    """What is not as expected."""
    wrong = []
    for case, (base, _, loads, _) in CASES.items():
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


def make(program, out):
    result = {"versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)}, "cases": {}}
    for case, (base, _, loads, _) in CASES.items():
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
        result["cases"][case] = {
            "model": f"tests/vectors/logits/{base}",
            "command": command,
            "peft": f"refuses it: {reason}" if reason else "loads it",
        }
    write_json(out / "result.json", result)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peft", type=Path, help="the program, needed without --check")
    parser.add_argument("--out", type=Path, default=VECTORS / "interop")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    quiet()
    if args.check:
        wrong = check(args.out)
        print("\n".join(wrong) or "as expected")
        return 1 if wrong else 0
    if not args.peft:
        parser.error("--peft is needed")
    make(args.peft.resolve(), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
