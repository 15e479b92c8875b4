"""Makes vectors/trained: logits of trained encoder-decoders, which are too large to commit.

    python make_trained_seq2seq.py [--shared ../../../shared] [--out ../vectors/trained]

For tiny-t5, bart-g2p-us and bart-g2p-gb in SHARED/models: rows of ids, drawn from a seed, and the logits [T, V] of
their decoder's tokens, one row at a time without padding.

Committed results: torch 2.15.0, transformers 5.23.0.
"""

import argparse
from pathlib import Path

import torch
from common import SHARED, VECTORS, fresh, generator, quiet, random_ids, save_rows, write_jsonl
from transformers import AutoModelForSeq2SeqLM

# Lengths of the encoder's and the decoder's rows.
LENGTHS = {
    "tiny-t5": [(9, 3), (40, 2)],
    "bart-g2p-us": [(5, 4), (12, 15), (1, 9)],
    "bart-g2p-gb": [(5, 4), (12, 15), (1, 9)],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--out", type=Path, default=VECTORS / "trained")
    args = parser.parse_args()
    quiet()
    for name, lengths in LENGTHS.items():
        model = AutoModelForSeq2SeqLM.from_pretrained(args.shared / "models" / name).eval()
        draw = generator(7)

        def ids(length, first, vocabulary=model.config.vocab_size):
            return [first, *random_ids(draw, 3, vocabulary, length - 1)]

        start = model.config.decoder_start_token_id
        rows = [
            {"input_ids": ids(source, 1), "decoder_input_ids": ids(target, start)}
            for source, target in lengths
        ]
        with torch.no_grad():
            logits = [
                model(**{key: torch.tensor([value]) for key, value in row.items()}).logits[0]
                for row in rows
            ]
        folder = fresh(args.out / name)
        write_jsonl(folder / "rows.jsonl", rows)
        save_rows(folder / "base.safetensors", logits)


if __name__ == "__main__":
    main()
