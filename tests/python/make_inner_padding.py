"""Makes vectors/inner_padding: rows of RoBERTa with the padding token of the config inside, as a `<pad>` in a text makes it.

    python make_inner_padding.py [--out ../vectors/inner_padding]

For the bases of vectors/logits in TASKS: rows.jsonl, and the logits of the plain model and of PEFT with the adapters
prompt/ and prefix/ there, each row alone and unpadded. Where transformers is given ids, such a token takes no position;
where it is given embeddings, as by PEFT's prompts, it takes one as any other. long.jsonl has a row of more tokens than
the model has positions, which fits by that, with long-base.safetensors and long-prefix.safetensors.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
from pathlib import Path

from common import VECTORS, fresh, load_adapter, load_base, quiet, row_logits, save_rows, write_jsonl

TASKS = {"roberta-cls": "SEQ_CLS", "roberta-tok": "TOKEN_CLS"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "inner_padding")
    args = parser.parse_args()
    quiet()
    for name, task in TASKS.items():
        folder, base = fresh(args.out / name), VECTORS / "logits" / name
        plain = load_base(base, task)
        pad = plain.config.pad_token_id
        rows = [[0, 31, pad, 54, 2], [pad, 0, 9, 40, pad, pad, 12, 2], [0, 7, 2, pad], [0, 33, 8, 2]]
        rows = [{"input_ids": ids} for ids in rows]
        write_jsonl(folder / "rows.jsonl", rows)
        save_rows(folder / "base.safetensors", [row_logits(plain, row) for row in rows])
        for kind in ("prompt", "prefix"):
            adapter = load_adapter(load_base(base, task), base / kind)
            save_rows(folder / f"{kind}.safetensors", [row_logits(adapter, row) for row in rows])
        positions = plain.config.max_position_embeddings - pad - 1
        long = [{"input_ids": [0, *([31, 9, pad, 54] * (positions // 3))[: positions + 3], 2]}]
        write_jsonl(folder / "long.jsonl", long)
        save_rows(folder / "long-base.safetensors", [row_logits(plain, row) for row in long])
        prefixed = load_adapter(load_base(base, task), base / "prefix")
        save_rows(folder / "long-prefix.safetensors", [row_logits(prefixed, row) for row in long])


if __name__ == "__main__":
    main()
