"""Makes more of vectors/logits: prefixes of encoder-decoders at three sites, which PEFT cannot compute.

    python make_sites.py [--out ../vectors/logits] [--only t5 bart]

For t5, t5v11 and bart of make_logits.py, in their folders, adapters of this project's type and their logits of rows.jsonl:
- sites: encoder self-attention, decoder self-attention and cross-attention, each with its own keys and values. Positions of
  real tokens stay as they are and T5's relative bias is 0 over the prefix (Li & Liang 2021, for BART);
- sites-shifted: real tokens of both sides start at position P; T5's relative bias reaches over the prefix as if it stood at
  positions 0 to P - 1;
- site-encoder, site-decoder, site-cross: like sites, at one of the three.
adapter_config.json names the peft_type BURN_PEFT_PREFIX_TUNING_SITES, which PEFT refuses. adapter_model.safetensors has
`prompt_embeddings.SITE`, [P, L * 2 * N * D] as [P, L, 2, N, D], key then value, L, N and D of that site.

Logits are those of transformers with the keys and values put in front of the projected ones of its attention modules: they
are not projected, no bias is added to them, and every query sees them, in cross-attention too. A separate forward pass
(own_forward.py) must give the same; it also reproduces the plain logits and PEFT's prefix of the decoder, so that it can be
trusted with both position rules.

Committed results: torch 2.15.0, transformers 5.23.0.
"""

import own_forward
import torch
from check_interop import refusal
from common import (
    NUM_VIRTUAL_TOKENS,
    VECTORS,
    close,
    decoder_geometry,
    fresh,
    generator,
    load_base,
    make_cases,
    read_jsonl,
    row_logits,
    save_rows,
    write_json,
)
from own_forward import Prefixes
from prefixed_attention import prefixed
from safetensors.torch import load_file, save_file

MODELS = ("t5", "t5v11", "bart")
SITES = ("encoder-self", "decoder-self", "cross")
# The rounding of another order of operations.
FAR = 1e-4
# adapter: sites, whether positions are shifted
ADAPTERS = {
    "sites": (SITES, False),
    "sites-shifted": (SITES, True),
    "site-encoder": (("encoder-self",), False),
    "site-decoder": (("decoder-self",), False),
    "site-cross": (("cross",), False),
}


def site_shape(config, site):
    """[P, L, 2, N, D]"""
    if config.model_type == "t5":
        layers = config.num_layers if site == "encoder-self" else config.num_decoder_layers
        return NUM_VIRTUAL_TOKENS, layers, 2, config.num_heads, config.d_kv
    side = "encoder" if site == "encoder-self" else "decoder"
    heads = getattr(config, f"{side}_attention_heads")
    return NUM_VIRTUAL_TOKENS, getattr(config, f"{side}_layers"), 2, heads, config.d_model // heads


def attention_modules(model, site):
    """One per layer."""
    t5 = model.config.model_type == "t5"
    stack = model.get_encoder() if site == "encoder-self" else model.get_decoder()
    if t5:
        return [b.layer[1].EncDecAttention if site == "cross" else b.layer[0].SelfAttention for b in stack.block]
    return [layer.encoder_attn if site == "cross" else layer.self_attn for layer in stack.layers]


@torch.no_grad()
def patched(model, row, sites, shifted):
    """The logits of transformers with the prefixes in its attention modules."""
    modules = {s: attention_modules(model, s) for s in sites}
    prefixes = {m: sites[s][:, i] for s in sites for i, m in enumerate(modules[s])}
    biases, tables = {}, []
    if shifted and model.config.model_type == "t5":
        for site, key in (("encoder-self", "input_ids"), ("decoder-self", "decoder_input_ids")):
            p, length = len(sites[site]), len(row[key])
            bias = modules[site][0].compute_bias(length, p + length, past_seen_tokens=p)
            biases.update({m: bias for m in modules[site]})
    elif shifted:
        tables = [model.get_encoder().embed_positions, model.get_decoder().embed_positions]
    for table in tables:
        table.offset += NUM_VIRTUAL_TOKENS
    try:
        with prefixed(model, prefixes, biases):
            return row_logits(model, row)
    finally:
        for table in tables:
            table.offset -= NUM_VIRTUAL_TOKENS


def check_own_forward(folder, config, tensors, rows):
    """The separate forward pass gives the plain logits and those of PEFT's prefix of the decoder."""
    plain = load_file(str(folder / "base.safetensors"))
    peft = load_file(str(folder / "prefix.safetensors"))
    saved = load_file(str(folder / "prefix" / "adapter_model.safetensors"))["prompt_embeddings"]
    geometry = decoder_geometry(config)
    count, heads = geometry["num_layers"], geometry["num_attention_heads"]
    slots = [2 * i % count for i in range(count)]
    prefix = saved.view(len(saved), count, 2, heads, -1)[:, slots]
    for i, row in enumerate(rows):
        name = f"row_{i:05d}"
        close(own_forward.forward(tensors, config, row, Prefixes({})), plain[name], f"{folder.name} by hand", FAR)
        shifted = Prefixes({"decoder-self": prefix}, shifted=True, relative_bias=True)
        close(own_forward.forward(tensors, config, row, shifted), peft[name], f"{folder.name} PEFT's prefix by hand", FAR)


def save(folder, name, sites, shifted, relative_bias):
    fresh(folder)
    flat = {f"prompt_embeddings.{s}": v.flatten(1).contiguous() for s, v in sites.items()}
    save_file(flat, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"})
    write_json(
        folder / "adapter_config.json",
        {
            "base_model_name_or_path": f"tests/vectors/logits/{name}",
            "burn_peft": {
                "method": "prefix",
                "prefix_positions": "shifted" if shifted else "unshifted",
                "relative_bias": relative_bias,
                "sites": list(sites),
            },
            "num_virtual_tokens": NUM_VIRTUAL_TOKENS,
            "peft_type": "BURN_PEFT_PREFIX_TUNING_SITES",
            "task_type": "SEQ_2_SEQ_LM",
        },
    )


def make_model(name, seed, out):
    folder, gen = out / name, generator(seed)
    model = load_base(folder, "SEQ_2_SEQ_LM", attn_implementation="eager")
    config, rows = model.config, read_jsonl(folder / "rows.jsonl")
    tensors = load_file(str(folder / "model.safetensors"))
    check_own_forward(folder, config, tensors, rows)
    plain = [row_logits(model, r) for r in rows]
    print(name)
    for adapter, (wanted, shifted) in ADAPTERS.items():
        sites = {s: torch.randn(site_shape(config, s), generator=gen) for s in wanted}
        relative_bias = shifted and config.model_type == "t5"
        logits = [patched(model, r, sites, shifted) for r in rows]
        for row, got, before in zip(rows, logits, plain):
            by_hand = own_forward.forward(tensors, config, row, Prefixes(sites, shifted, relative_bias))
            close(by_hand, got, f"{name} {adapter}", FAR)
            assert (got - before).abs().max() > 0.05, f"{name} {adapter} changes nothing"
        if shifted:
            moved = max((patched(model, r, sites, False) - got).abs().max().item() for r, got in zip(rows, logits))
            assert moved > 0.05, f"{name} {adapter}: positions do not matter"
        save(folder / adapter, name, sites, shifted, relative_bias)
        assert refusal(folder, folder / adapter), "PEFT loads it"
        save_rows(folder / f"{adapter}.safetensors", logits)
        moved = max((a - b).abs().max().item() for a, b in zip(logits, plain))
        shapes = ", ".join(f"{s} {tuple(v.shape)}" for s, v in sites.items())
        print(f"  {adapter}: {shapes}, logits moved by at most {moved:.2f}")


if __name__ == "__main__":
    make_cases(__doc__, VECTORS / "logits", MODELS, make_model, 4000)
