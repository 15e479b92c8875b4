"""Makes vectors/logits: tiny random checkpoints, PEFT adapters for them, and the logits of both.

    python make_logits.py [--out ../vectors/logits] [--only gpt2-tok llama-tok]

For each name in names.TASKS (built by tiny_models.py) a folder with
- config.json, generation_config.json (language models), model.safetensors: as save_pretrained writes them;
- rows.jsonl: four rows of token ids (BERT: the second with token_type_ids; encoder-decoders: with decoder_input_ids, which
  begin with decoder_start_token_id);
- base.safetensors: logits of the plain model, each row alone and unpadded;
- prompt/, prefix/, prefix-mlp/: PEFT adapters, as save_pretrained writes them (prefix-mlp folded, as PEFT does);
  encoder-decoders: prompt/ has num_transformer_submodules 1, prompt-2/ is what PEFT writes by default (2 P rows, the
  second half unread); gpt2, bert, t5: p-tuning/ (P_TUNING, the rows its MLP gave; t5: 2 P rows, half of them unread);
- prompt.safetensors, prefix.safetensors, ...: logits of PEFT with each adapter after loading it from its folder.
Tensors are f32 and named row_00000, ...: [T, V] for language models, [T, C] for token classification, [T, 2] for question
answering, [C] for sequence classification; T is the length of decoder_input_ids if there are any. The P rows of logits that
prompt tuning adds in front are cut off.

Unexpected behaviour of PEFT, and what was done about it:
- The prefix of an encoder-decoder is for the decoder's self-attention only, and layer i of L reads slot 2 i mod L. Real
  tokens of the decoder take positions P, P + 1, ... (BART), and T5's relative bias reaches over the prefix as if it stood at
  positions 0 to P - 1. The encoder and cross-attention do not see it. The vectors are PEFT's.
- PEFT guesses an encoder-decoder's num_layers and num_attention_heads from the encoder and D from H / N. If the decoder or
  T5's d_kv differs, num_layers, num_attention_heads and token_dim = N * D must be given (common.decoder_geometry).
- The prompt of a BART with scale_embedding is put beside embeddings that were scaled already: it is not scaled.
- PeftModelForQuestionAnswering takes token_type_ids and drops them. The vectors are PEFT's.
- mistral-window: the window counts virtual tokens as positions, so late tokens see few or none of the P.
- t5v11: transformers 5 writes tie_word_embeddings true (and scale_decoder_outputs false) beside a separate
  lm_head.weight in the file. It computes with that head, without scaling by H ** -0.5, and so do the vectors.

The script checks its own results: loaded = trained, an explicit prefix or prompt in the plain model = PEFT, and padding
does not change what PEFT computes for a prefix.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import torch
from common import (
    NUM_VIRTUAL_TOKENS,
    VECTORS,
    close,
    decoder_geometry,
    fresh,
    generator,
    load_adapter,
    load_base,
    make_cases,
    new_adapter,
    output_logits,
    row_inputs,
    row_logits,
    save_adapter,
    save_rows,
    scale_weights,
    write_jsonl,
)
from names import TASKS
from safetensors.torch import load_file
from tiny_models import build, make_rows

KINDS = ("prompt", "prefix", "prefix-mlp")
P_TUNING = ("gpt2", "bert", "t5")


def head_of(base, hidden, out):
    """The logits of an encoder's or question answering head; `hidden` [B, T, H]."""
    if hasattr(base, "qa_outputs"):
        return base.qa_outputs(hidden)
    return base.classifier(out.pooler_output if getattr(out, "pooler_output", None) is not None else hidden)


def cache_of(config, saved):
    """PEFT's prefix [P, L * 2 * K * D] as the cache it becomes."""
    from transformers import DynamicCache, EncoderDecoderCache

    if config.is_encoder_decoder:
        geometry = decoder_geometry(config)
        count, heads = geometry["num_layers"], geometry["num_attention_heads"]
    else:
        count, heads = config.num_hidden_layers, getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    layers = saved.view(len(saved), count, 2, heads, -1).unbind(1)
    if config.is_encoder_decoder:
        # PEFT splits two copies into groups of four and keeps the first half of each.
        layers = [layers[2 * i % count] for i in range(count)]
    cache = DynamicCache([(b[:, 0].transpose(0, 1)[None], b[:, 1].transpose(0, 1)[None]) for b in layers])
    return EncoderDecoderCache(cache, DynamicCache()) if config.is_encoder_decoder else cache


def window_mask(config, total, queries):
    """Additive [1, 1, queries, total]: a query sees itself and the sliding_window - 1 positions before it."""
    ages = torch.arange(total - queries, total)[:, None] - torch.arange(total)[None]
    seen = (ages >= 0) & (ages < config.sliding_window)
    return torch.where(seen, 0.0, torch.finfo(torch.float32).min)[None, None]


@torch.no_grad()
def by_hand(base, adapter, saved, row):
    """The same logits without PEFT's forward: rows put in front, or a key/value cache, made by hand."""
    inputs = row_inputs(row)
    if hasattr(base, "qa_outputs"):
        inputs.pop("token_type_ids", None)
    p, config = NUM_VIRTUAL_TOKENS, base.config
    length = inputs["input_ids"].shape[1]
    mask = torch.ones(1, p + length, dtype=torch.long)
    wrappers = [m for m in adapter.modules() if type(m).__name__ == "ModulesToSaveWrapper"]
    head = wrappers[0].modules_to_save["default"] if wrappers else None
    for attribute in ("score", "classifier", "qa_outputs"):
        if head is not None and hasattr(base, attribute):
            setattr(base, attribute, head)
    prompt = adapter.active_peft_config.peft_type != "PREFIX_TUNING"
    if getattr(config, "sliding_window", None) is not None and not hasattr(base, "score"):
        mask = window_mask(config, p + length, p + length if prompt else length)
    if prompt:
        embeds = torch.cat([saved[:p], base.get_input_embeddings()(inputs["input_ids"])[0]])[None]
        kwargs = {"inputs_embeds": embeds, "attention_mask": mask}
        if "token_type_ids" in inputs:
            kwargs["token_type_ids"] = torch.cat([torch.zeros(1, p, dtype=torch.long), inputs["token_type_ids"]], dim=1)
        if config.is_encoder_decoder:
            return base(**kwargs, decoder_input_ids=inputs["decoder_input_ids"]).logits[0]
        logits = output_logits(base(**kwargs))[0]
        return logits[p:] if logits.dim() == 2 else logits
    cache = cache_of(config, saved)
    if config.is_encoder_decoder:
        return base(**inputs, past_key_values=cache).logits[0]
    inputs["attention_mask"] = mask
    if hasattr(base, "qa_outputs") or config.model_type in ("bert", "roberta"):
        out = getattr(base, base.base_model_prefix)(**inputs, past_key_values=cache)
        return head_of(base, out.last_hidden_state, out)[0]
    return base(**inputs, past_key_values=cache).logits[0]


@torch.no_grad()
def check_padding(adapter, rows, expected, what):
    config = adapter.config
    if config.pad_token_id is None and expected[0].dim() == 1:
        return
    longest = max(len(r["input_ids"]) for r in rows)
    ids, mask, types = [], [], []
    for r in rows:
        gap = longest - len(r["input_ids"])
        ids.append(r["input_ids"] + [config.pad_token_id or 0] * gap)
        types.append(r.get("token_type_ids", [0] * len(r["input_ids"])) + [0] * gap)
        mask.append([1] * len(r["input_ids"]) + [0] * gap)
    kwargs = {"token_type_ids": torch.tensor(types)} if config.model_type == "bert" else {}
    if config.is_encoder_decoder:
        # Causal, so that what follows the end of a row does not matter.
        longest = max(len(r["decoder_input_ids"]) for r in rows)
        padded = [r["decoder_input_ids"] + [5] * (longest - len(r["decoder_input_ids"])) for r in rows]
        kwargs["decoder_input_ids"] = torch.tensor(padded)
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), **kwargs}
    logits = output_logits(adapter(**inputs))
    for got, want in zip(logits, expected):
        close(got[: len(want)] if want.dim() == 2 else got, want, f"{what}, padded")


def make_base(name, gen, out):
    """The checkpoint, its rows and the logits of the plain model."""
    folder, task = fresh(out / name), TASKS[name]
    model = scale_weights(build(name), gen)
    if name.startswith("bart"):
        model.final_logits_bias.copy_(0.5 * torch.randn(model.final_logits_bias.shape, generator=gen))
    model.save_pretrained(str(folder))
    base = load_base(folder, task)
    if name == "t5v11":
        head = load_file(str(folder / "model.safetensors"))["lm_head.weight"]
        assert torch.equal(base.lm_head.weight, head) and not torch.equal(base.shared.weight, head), "the head is tied"
        assert base.config.tie_word_embeddings, "transformers 5 no longer writes tie_word_embeddings true for T5 1.1"
    rows = make_rows(name, base.config, gen)
    write_jsonl(folder / "rows.jsonl", rows)
    plain = [row_logits(base, r) for r in rows]
    save_rows(folder / "base.safetensors", plain)
    print(f"{name}: logits {[tuple(t.shape) for t in plain]} std {torch.cat([t.flatten() for t in plain]).std():.2f}")
    return rows, plain


def make_adapter(name, kind, gen, out, rows, plain):
    """A random adapter, saved by PEFT, and PEFT's logits after loading it."""
    folder, task = out / name, TASKS[name]
    trained = new_adapter(load_base(folder, task), kind, task, gen)
    save_adapter(trained, folder / kind, f"tests/vectors/logits/{name}")
    adapter = load_adapter(load_base(folder, task), folder / kind)
    # Read from the file: PEFT cannot save a prefix-mlp adapter again after loading it (the MLP is gone).
    saved = load_file(str(folder / kind / "adapter_model.safetensors"))["prompt_embeddings"]
    logits = [row_logits(adapter, r) for r in rows]
    save_rows(folder / f"{kind}.safetensors", logits)
    for r, got, before in zip(rows, logits, plain):
        close(row_logits(trained, r), got, f"{name} {kind} loaded")
        close(by_hand(load_base(folder, task), adapter, saved, r), got, f"{name} {kind} by hand")
        assert (got - before).abs().max() > 0.05, f"{name} {kind} changes nothing"
    if kind.startswith("prefix"):
        check_padding(adapter, rows, logits, f"{name} {kind}")
    moved = max((a - b).abs().max().item() for a, b in zip(logits, plain))
    print(f"  {kind}: prompt_embeddings {tuple(saved.shape)} std {saved.std():.2f}, logits moved by at most {moved:.2f}")


def make_model(name, seed, out):
    gen = generator(seed)
    rows, plain = make_base(name, gen, out)
    for kind in KINDS + (("prompt-2",) if TASKS[name] == "SEQ_2_SEQ_LM" else ()):
        make_adapter(name, kind, gen, out, rows, plain)
    if name in P_TUNING:
        make_adapter(name, "p-tuning", gen, out, rows, plain)


if __name__ == "__main__":
    make_cases(__doc__, VECTORS / "logits", TASKS, make_model, 1000)
