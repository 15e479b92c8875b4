"""Loads an adapter folder with the real PEFT and computes the logits of rows of token ids, or checks that PEFT refuses it.

    python check_interop.py --model DIR --adapter DIR --rows rows.jsonl --out logits.safetensors
    python check_interop.py --model DIR --adapter DIR --expect-refused

The task comes from the adapter's task_type. Each row {"input_ids", "token_type_ids"?, "decoder_input_ids"?} runs alone and
unpadded; the output has one f32 tensor per row, row_00000, ...: [T, V], [T, C], [C] or, for question answering, [T, 2]. Rows
of logits that PEFT adds for virtual tokens are cut off. Token types, which PEFT drops in question answering, reach the
embeddings, as in the adapters of this project. If the base has no head or one of
another size, the number of classes is that of the adapter's head.

Without --adapter it computes the plain base model (--task says which, CAUSAL_LM if not given).

Exit code 0: done, or refused as expected; 1: PEFT failed, or loaded what it should refuse; 2: wrong usage, or a file or
the base is missing. --expect-refused succeeds only if the folder has both its files and PEFT itself raises while it reads
the config or loads the weights; the reason is printed.

Made for torch 2.15.0, transformers 5.23.0, peft 0.21.2. To import: `logits(model_dir, adapter_dir, rows)`, `refusal(...)`.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

from common import load_adapter, load_base, quiet, read_jsonl, row_inputs, row_logits, save_rows, token_types_kept
from names import TASKS

HEADS = ("classifier.out_proj.weight", "classifier.weight", "score.weight")


class UsageError(Exception):
    """An error that says nothing about PEFT: a missing file, an unreadable base."""


def adapter_config(adapter):
    adapter = Path(adapter)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():
            raise UsageError(f"{adapter}: no {name}")
    try:
        return json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{adapter}/adapter_config.json: {error}") from error


def head_rows(adapter):
    """The number of classes of the adapter's head, or None."""
    from safetensors import safe_open

    with safe_open(str(Path(adapter) / "adapter_model.safetensors"), framework="pt") as file:
        for key in file.keys():
            if key.startswith("base_model.") and key.endswith(HEADS):
                return file.get_slice(key).get_shape()[0]
    return None


def base_for(model, task_type, classes=None):
    kwargs = {}
    if task_type in ("SEQ_CLS", "TOKEN_CLS") and classes is not None:
        from transformers import AutoConfig

        if AutoConfig.from_pretrained(str(model)).num_labels != classes:
            kwargs = {"num_labels": classes, "ignore_mismatched_sizes": True}
    try:
        return load_base(model, task_type, **kwargs)
    except KeyError as error:
        raise UsageError(f"task_type {error}: no model class for it") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{model}: {error}") from error


def load(model, adapter):
    """The base with the adapter, in evaluation mode. PEFT may not warn of keys that it does not know."""
    warnings.filterwarnings("error", message="Unexpected keyword arguments")
    config = adapter_config(adapter)
    return load_adapter(base_for(model, config.get("task_type"), head_rows(adapter)), adapter)


def logits(model, adapter, rows, task_type="CAUSAL_LM"):
    """One tensor per row; adapter may be None."""
    quiet()
    loaded = load(model, adapter) if adapter else base_for(model, task_type)

    def of_row(row):
        with token_types_kept(loaded, row_inputs(row)):
            return row_logits(loaded, row)

    return [of_row(row) for row in rows]


def refusal(model, adapter):
    """Why PEFT does not load the adapter, or None if it does."""
    from peft import PeftConfig

    quiet()
    config = adapter_config(adapter)
    try:
        PeftConfig.from_pretrained(str(adapter))
    except Exception as error:  # PEFT raises bare KeyErrors, TypeErrors and more.
        return f"config: {type(error).__name__}: {error}"
    task = config.get("task_type")
    base = base_for(model, task if task in set(TASKS.values()) | {"QUESTION_ANS", "SEQ_2_SEQ_LM"} else "CAUSAL_LM", head_rows(adapter))
    try:
        load_adapter(base, adapter)
    except Exception as error:
        return f"weights: {type(error).__name__}: {error}"
    return None


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--task", default="CAUSAL_LM", help="task_type of the plain base model, where no adapter is given")
    parser.add_argument("--expect-refused", action="store_true")
    args = parser.parse_args(argv)
    if args.expect_refused and not args.adapter:
        parser.error("--expect-refused needs --adapter")
    if not args.expect_refused and not (args.rows and args.out):
        parser.error("--rows and --out are needed")
    try:
        if args.expect_refused:
            reason = refusal(args.model, args.adapter)
            print(f"refused: {reason}" if reason else "PEFT loads this adapter")
            return 0 if reason else 1
        rows = read_jsonl(args.rows)
        if not rows:
            raise UsageError(f"{args.rows}: no rows")
        save_rows(args.out, logits(args.model, args.adapter, rows, args.task))
        print(f"{len(rows)} rows written to {args.out}")
        return 0
    except (UsageError, FileNotFoundError) as error:
        print(f"check_interop: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        print(f"check_interop: {type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
