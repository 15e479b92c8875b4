"""Makes vectors/last_token: rows of decoders with a classifier that end in the padding token of the config.

    python make_last_token.py [--out ../vectors/last_token]

For the bases of vectors/logits in NAMES: rows.jsonl, and the logits of the plain model and of PEFT with the adapters
prompt/ and prefix/ there, each row alone and unpadded. transformers reads the last token that is not the padding token
where it is given ids, and the last of all where it is given embeddings, as PEFT's prompts do.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
from pathlib import Path

from common import VECTORS, fresh, load_adapter, load_base, quiet, row_logits, save_rows, write_jsonl

NAMES = ("gpt2-cls", "llama-cls")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "last_token")
    args = parser.parse_args()
    quiet()
    for name in NAMES:
        folder, base = fresh(args.out / name), VECTORS / "logits" / name
        plain = load_base(base, "SEQ_CLS")
        end = plain.config.pad_token_id
        rows = [{"input_ids": ids} for ids in ([9, 4, 31, end], [7, end, 12, end, end], [5, end, 8], [end])]
        write_jsonl(folder / "rows.jsonl", rows)
        save_rows(folder / "base.safetensors", [row_logits(plain, row) for row in rows])
        for kind in ("prompt", "prefix"):
            adapter = load_adapter(load_base(base, "SEQ_CLS"), base / kind)
            save_rows(folder / f"{kind}.safetensors", [row_logits(adapter, row) for row in rows])


if __name__ == "__main__":
    main()
