"""Makes vectors/attention: how much real tokens attend to virtual tokens, by transformers with PEFT's adapters.

    python make_attention.py [--out ../vectors/attention]

For the models of vectors/logits and their adapters in CASES, MODEL-KIND.safetensors: one f32 tensor [L, N, P] under the
name of the attention site. Entry (l, n, p) is the mean of the weight of virtual token p in head n of layer l over all real
tokens of all rows of rows.jsonl, from `output_attentions=True` with eager attention, each row alone and unpadded.

A prefix is P keys in front of the row's: the attentions are [N, S, P + S]. A prompt is P rows: they are
[N, P + S, P + S], of which the P queries of the prompt itself are cut off. The prefix of an encoder-decoder is PEFT's: it is
in the decoder's self-attention alone; its prompt is in front of the encoder's rows.

PEFT's prefix for classifying rows fails on RoBERTa with output_attentions: it takes the attentions for pooled states.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
from pathlib import Path

import torch
from common import NUM_VIRTUAL_TOKENS, VECTORS, fresh, load_adapter, load_base, quiet, read_jsonl, row_inputs
from names import TASKS
from safetensors.torch import save_file

CASES = (
    ("gpt2", "prefix"),
    ("gpt2", "prefix-mlp"),
    ("gpt2", "prompt"),
    ("llama", "prefix"),
    ("llama", "prompt"),
    ("mistral-window", "prefix"),
    ("qwen3", "prefix"),
    ("bert", "prefix"),
    ("bert", "prompt"),
    ("bert-tok", "prefix"),
    ("roberta-tok", "prefix"),
    ("t5", "prefix"),
    ("t5", "prompt"),
    ("bart", "prefix"),
)


def site_of(config, kind):
    if config.is_encoder_decoder:
        return "encoder-self" if kind == "prompt" else "decoder-self"
    return "encoder-self" if config.model_type in ("bert", "roberta") else "decoder-self"


def attentions(out, config, site):
    """One [N, S, P + S] for each layer."""
    if config.is_encoder_decoder:
        layers = out.encoder_attentions if site == "encoder-self" else out.decoder_attentions
    else:
        layers = out.attentions
    return [layer[0] for layer in layers]


@torch.no_grad()
def make(name, kind, out):
    folder, p = VECTORS / "logits" / name, NUM_VIRTUAL_TOKENS
    adapter = load_adapter(load_base(folder, TASKS[name], attn_implementation="eager"), folder / kind)
    config = adapter.get_base_model().config
    site = site_of(config, kind)
    sums, queries = 0.0, 0
    for row in read_jsonl(folder / "rows.jsonl"):
        inputs = row_inputs(row)
        of_decoder = config.is_encoder_decoder and site == "decoder-self"
        length = len(row["decoder_input_ids" if of_decoder else "input_ids"])
        layers = torch.stack(attentions(adapter(**inputs, output_attentions=True), config, site)).double()
        virtual = layers.shape[2] - length
        assert virtual == (p if kind == "prompt" else 0) and layers.shape[3] == p + length, (name, kind, layers.shape)
        assert (layers.sum(3) - 1).abs().max() < 1e-5, (name, kind)
        sums = sums + layers[:, :, virtual:, :p].sum(2)
        queries += length
    mass = (sums / queries).float()
    save_file({site: mass.contiguous()}, str(out / f"{name}-{kind}.safetensors"))
    print(f"{name} {kind}: {site} {tuple(mass.shape)}, {queries} queries, mass {mass.sum(2).min():.3f} to {mass.sum(2).max():.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "attention")
    args = parser.parse_args()
    quiet()
    out = fresh(args.out)
    for name, kind in CASES:
        make(name, kind, out)


if __name__ == "__main__":
    main()
