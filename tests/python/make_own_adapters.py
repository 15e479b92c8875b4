"""Makes more of vectors/logits: adapters of types that only this project has, for models with a single stack.

    python make_own_adapters.py [--out ../vectors/logits] [--only llama-layers bert-prompt-first-token]

In the folders of make_logits.py, with the logits of rows.jsonl:
- llama/layers, bert/layers: keys and values for some of the layers (P-tuning v2 on a subset; BURN_PEFT_PREFIX_TUNING_LAYERS).
  `prompt_embeddings` is [P, l * 2 * K * D] for the l layers that `burn_peft.layers` lists. Real tokens take positions P,
  P + 1, ... in all layers; a layer without virtual tokens sees only real ones;
- bert/prompt-first-token, roberta-cls/prompt-first-token: a prompt as PEFT's, but the pooler and classifier read the first
  real token, position P of P + T, instead of the first virtual one (BURN_PEFT_PROMPT_TUNING_FIRST_TOKEN).
The heads of bert and roberta-cls are random, and stored as PEFT stores them.

Each is computed in two ways that must agree. Layers: keys and values concatenated in the attention of those layers, with explicit positions;
a key/value cache for all layers, whose columns the others do not see. First token: the plain encoder and then its pooler
and head on rows P, ...; the whole model with the input of its pooler or head cut.

Committed results: torch 2.15.0, transformers 5.23.0.
"""

import torch
from check_interop import refusal
from common import (
    NUM_VIRTUAL_TOKENS,
    VECTORS,
    close,
    fresh,
    generator,
    load_base,
    make_cases,
    read_jsonl,
    row_inputs,
    row_logits,
    save_rows,
    write_json,
)
from names import TASKS
from prefixed_attention import hidden, prefixed
from safetensors.torch import save_file

# adapter: base, layers or None
CASES = {
    "llama-layers": ("llama", [0, 2]),
    "bert-layers": ("bert", [1, 2]),
    "bert-prompt-first-token": ("bert", None),
    "roberta-cls-prompt-first-token": ("roberta-cls", None),
}
P = NUM_VIRTUAL_TOKENS


def set_head(model, gen):
    """A random head for an encoder's classifier; its tensors as PEFT names them."""
    tensors = {}
    for name, p in sorted(model.classifier.named_parameters()) if hasattr(model, "classifier") else ():
        noise = torch.randn(p.shape, generator=gen)
        p.data.copy_(0.2 * noise if name.endswith("bias") else 1.6 * noise / p.shape[-1] ** 0.5)
        tensors[f"base_model.classifier.{name}"] = p.data.clone()
    return tensors


# Some of the layers


def attention_modules(model):
    kinds = ("LlamaAttention", "BertSelfAttention")
    return [m for m in model.modules() if type(m).__name__ in kinds]


@torch.no_grad()
def concatenated(model, row, values):
    """`values`: {layer: [P, 2, K, D]}"""
    modules = attention_modules(model)
    inputs = row_inputs(row)
    positions = torch.arange(P, P + len(row["input_ids"]))[None]
    with prefixed(model, {modules[i]: v for i, v in values.items()}):
        return model(**inputs, position_ids=positions).logits[0]


@torch.no_grad()
def cached(model, row, values):
    from transformers import DynamicCache

    modules = attention_modules(model)
    shape = next(iter(values.values())).shape
    # What other layers hold there must not be seen.
    layers = [values.get(i, torch.full(shape, 3.0)) for i in range(len(modules))]
    cache = DynamicCache([(v[:, 0].transpose(0, 1)[None], v[:, 1].transpose(0, 1)[None]) for v in layers])
    inputs = row_inputs(row)
    inputs["attention_mask"] = torch.ones(1, P + len(row["input_ids"]), dtype=torch.long)
    with hidden(model, [m for i, m in enumerate(modules) if i not in values], P):
        if model.config.model_type == "llama":
            return model(**inputs, past_key_values=cache).logits[0]
        return model.classifier(model.bert(**inputs, past_key_values=cache).pooler_output)[0]


def make_layers(model, rows, layers, gen):
    config = model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    saved = torch.randn(P, len(layers), 2, heads, dim, generator=gen)
    values = {layer: saved[:, i] for i, layer in enumerate(layers)}
    logits = [concatenated(model, r, values) for r in rows]
    for r, got in zip(rows, logits):
        close(cached(model, r, values), got, "layers, cached")
    own = {"method": "ptv2", "layers": layers, "pooling": "first"}
    return saved.flatten(1), logits, "BURN_PEFT_PREFIX_TUNING_LAYERS", (heads * dim, heads), own


# The first real token


def prompt_inputs(model, row, saved):
    inputs = row_inputs(row)
    embeds = torch.cat([saved, model.get_input_embeddings()(inputs["input_ids"])[0]])[None]
    kwargs = {"inputs_embeds": embeds, "attention_mask": torch.ones(embeds.shape[:2], dtype=torch.long)}
    if "token_type_ids" in inputs:
        kwargs["token_type_ids"] = torch.cat([torch.zeros(1, P, dtype=torch.long), inputs["token_type_ids"]], dim=1)
    return kwargs


def head_input(model):
    """The module that picks the first position."""
    return model.bert.pooler if model.config.model_type == "bert" else model.classifier


@torch.no_grad()
def stepwise(model, row, saved):
    encoder = getattr(model, model.base_model_prefix)
    rows = encoder(**prompt_inputs(model, row, saved)).last_hidden_state[:, P:]
    return model.classifier(model.bert.pooler(rows) if model.config.model_type == "bert" else rows)[0]


@torch.no_grad()
def hooked(model, row, saved, first):
    handle = head_input(model).register_forward_pre_hook(lambda _, args: (args[0][:, first:], *args[1:]))
    try:
        return model(**prompt_inputs(model, row, saved)).logits[0]
    finally:
        handle.remove()


def make_first_token(model, rows, gen):
    config = model.config
    saved = 0.6 * torch.randn(P, config.hidden_size, generator=gen)
    logits = [hooked(model, r, saved, P) for r in rows]
    for r, got in zip(rows, logits):
        close(stepwise(model, r, saved), got, "first token, stepwise")
        assert (hooked(model, r, saved, 0) - got).abs().max() > 0.05, "the position does not matter"
    own = {"method": "prompt", "pooling": "first_token"}
    return saved, logits, "BURN_PEFT_PROMPT_TUNING_FIRST_TOKEN", (config.hidden_size, config.num_attention_heads), own


def make_case(case, seed, out):
    name, layers = CASES[case]
    adapter, gen = case.removeprefix(f"{name}-"), generator(seed)
    folder = out / name
    model, rows = load_base(folder, TASKS[name], attn_implementation="eager"), read_jsonl(folder / "rows.jsonl")
    head = set_head(model, gen)
    plain = [row_logits(model, r) for r in rows]
    made = make_layers(model, rows, layers, gen) if layers else make_first_token(model, rows, gen)
    saved, logits, peft_type, (token_dim, heads), own = made
    fresh(folder / adapter)
    tensors = {"prompt_embeddings": saved.contiguous(), **head}
    save_file(tensors, str(folder / adapter / "adapter_model.safetensors"), metadata={"format": "pt"})
    write_json(
        folder / adapter / "adapter_config.json",
        {
            "base_model_name_or_path": f"tests/vectors/logits/{name}",
            "burn_peft": own,
            "modules_to_save": ["classifier", "score"] if head else None,
            "num_attention_heads": heads,
            "num_layers": model.config.num_hidden_layers,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": P,
            "peft_type": peft_type,
            "task_type": TASKS[name],
            "token_dim": token_dim,
        },
    )
    assert refusal(folder, folder / adapter), "PEFT loads it"
    save_rows(folder / f"{adapter}.safetensors", logits)
    moved = max((a - b).abs().max().item() for a, b in zip(logits, plain))
    print(f"{name}/{adapter}: prompt_embeddings {tuple(saved.shape)}, logits moved by at most {moved:.2f}")


if __name__ == "__main__":
    make_cases(__doc__, VECTORS / "logits", CASES, make_case, 5000)
