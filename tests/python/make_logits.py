"""Makes vectors/logits: tiny random checkpoints, PEFT adapters for them, and the logits of both.

    python make_logits.py [--out ../vectors/logits] [--only gpt2-tok llama-tok]

For each of gpt2, llama, bert, bert-tok, gpt2-cls, llama-cls, gpt2-tok, llama-tok a folder with
- config.json, generation_config.json (language models), model.safetensors: as save_pretrained writes them;
- rows.jsonl: four rows of token ids (bert, bert-tok: the second with token_type_ids);
- base.safetensors: logits of the plain model, each row alone and unpadded;
- prompt/, prefix/, prefix-mlp/: PEFT adapters, as save_pretrained writes them (prefix-mlp folded, as PEFT does);
- prompt.safetensors, prefix.safetensors, prefix-mlp.safetensors: logits of PEFT with each adapter after loading it from its folder.
Tensors are f32 and named row_00000, ...: [T, V] for language models, [T, C] for token classification, [C] for
sequence classification. The P rows of logits that prompt tuning adds in front are cut off.

The script checks its own results: loaded = trained, an explicit prefix or prompt in the plain model = PEFT, and padding
does not change what PEFT computes for a prefix.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
from pathlib import Path

import torch
from common import (
    NUM_VIRTUAL_TOKENS,
    TASKS,
    VECTORS,
    fresh,
    generator,
    load_adapter,
    load_base,
    new_adapter,
    quiet,
    random_ids,
    row_inputs,
    row_logits,
    save_adapter,
    save_rows,
    scale_weights,
    write_jsonl,
)
from safetensors.torch import load_file

KINDS = ("prompt", "prefix", "prefix-mlp")
LENGTHS = (7, 12, 1, 3)


def labels(count):
    names = [f"label_{i}" for i in range(count)]
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def build(name):
    import transformers as tf

    if name.startswith("gpt2"):
        config = tf.GPT2Config(vocab_size=71, n_positions=64, n_embd=32, n_layer=3, n_head=4, bos_token_id=35, eos_token_id=35)
        if name == "gpt2":
            return tf.GPT2LMHeadModel(config)
        config.n_inner, config.pad_token_id = 48, 0
        config.id2label, config.label2id = labels(4).values()
        return tf.GPT2ForTokenClassification(config) if name == "gpt2-tok" else tf.GPT2ForSequenceClassification(config)
    if name.startswith("llama"):
        # head_dim 12 is not 32 / 4; two key/value heads serve four heads.
        config = tf.LlamaConfig(
            vocab_size=67, hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, head_dim=12, max_position_embeddings=96, rms_norm_eps=1e-5, tie_word_embeddings=False,
            bos_token_id=1, eos_token_id=2, pad_token_id=0,
        )  # fmt: skip
        if name == "llama":
            return tf.LlamaForCausalLM(config)
        config.id2label, config.label2id = labels(3).values()
        return tf.LlamaForTokenClassification(config) if name == "llama-tok" else tf.LlamaForSequenceClassification(config)
    config = tf.BertConfig(
        vocab_size=89, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=64, type_vocab_size=2, pad_token_id=0,
    )  # fmt: skip
    config.id2label, config.label2id = labels(5 if name == "bert-tok" else 3).values()
    return tf.BertForTokenClassification(config) if name == "bert-tok" else tf.BertForSequenceClassification(config)


def make_rows(name, config, gen):
    rows = []
    for i, length in enumerate(LENGTHS):
        # Ids 0 to 3 are special in one model or another.
        ids = random_ids(gen, 4, config.vocab_size, length)
        if name.startswith("bert"):
            ids[0] = 2
        row = {"input_ids": ids}
        if name.startswith("bert") and i == 1:
            row["token_type_ids"] = [0] * 5 + [1] * (length - 5)
        rows.append(row)
    return rows


@torch.no_grad()
def by_hand(base, adapter, saved, row):
    """The same logits without PEFT's forward: rows put in front, or a key/value cache, made by hand."""
    from transformers import DynamicCache

    inputs = row_inputs(row)
    p = NUM_VIRTUAL_TOKENS
    mask = torch.ones(1, p + inputs["input_ids"].shape[1], dtype=torch.long)
    wrappers = [m for m in adapter.modules() if type(m).__name__ == "ModulesToSaveWrapper"]
    head = wrappers[0].modules_to_save["default"] if wrappers else None
    for attribute in ("score", "classifier"):
        if head is not None and hasattr(base, attribute):
            setattr(base, attribute, head)
    if adapter.active_peft_config.peft_type == "PROMPT_TUNING":
        embeds = torch.cat([saved, base.get_input_embeddings()(inputs["input_ids"])[0]])[None]
        kwargs = {"inputs_embeds": embeds, "attention_mask": mask}
        if "token_type_ids" in inputs:
            kwargs["token_type_ids"] = torch.cat([torch.zeros(1, p, dtype=torch.long), inputs["token_type_ids"]], dim=1)
        logits = base(**kwargs).logits[0]
        return logits[p:] if logits.dim() == 2 else logits
    config = base.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    blocks = saved.view(p, config.num_hidden_layers, 2, heads, -1)
    cache = DynamicCache([(b[:, 0].transpose(0, 1)[None], b[:, 1].transpose(0, 1)[None]) for b in blocks.unbind(1)])
    if config.model_type != "bert":
        return base(**{**inputs, "attention_mask": mask}, past_key_values=cache).logits[0]
    out = base.bert(**{**inputs, "attention_mask": mask}, past_key_values=cache)
    return base.classifier(out.pooler_output if base.bert.pooler is not None else out.last_hidden_state)[0]


def close(a, b, what, tolerance=2e-5):
    worst = (a - b).abs().max().item()
    assert a.shape == b.shape and worst <= tolerance, f"{what}: {tuple(a.shape)} {tuple(b.shape)} differ by {worst}"
    return worst


@torch.no_grad()
def check_padding(adapter, rows, expected, what):
    longest = max(len(r["input_ids"]) for r in rows)
    ids, mask, types = [], [], []
    for r in rows:
        gap = longest - len(r["input_ids"])
        ids.append(r["input_ids"] + [0] * gap)
        types.append(r.get("token_type_ids", [0] * len(r["input_ids"])) + [0] * gap)
        mask.append([1] * len(r["input_ids"]) + [0] * gap)
    kwargs = {"token_type_ids": torch.tensor(types)} if adapter.config.model_type == "bert" else {}
    if adapter.config.pad_token_id is None and expected[0].dim() == 1:
        return
    logits = adapter(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask), **kwargs).logits
    for got, want in zip(logits, expected):
        close(got[: len(want)] if want.dim() == 2 else got, want, f"{what}, padded")


def make_model(name, seed, out):
    folder, gen, task = fresh(out / name), generator(seed), TASKS[name]
    scale_weights(build(name), gen).save_pretrained(str(folder))
    base = load_base(folder, task)
    rows = make_rows(name, base.config, gen)
    write_jsonl(folder / "rows.jsonl", rows)
    plain = [row_logits(base, r) for r in rows]
    save_rows(folder / "base.safetensors", plain)
    print(f"{name}: logits {[tuple(t.shape) for t in plain]} std {torch.cat([t.flatten() for t in plain]).std():.2f}")
    for kind in KINDS:
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
        if kind != "prompt":
            check_padding(adapter, rows, logits, f"{name} {kind}")
        moved = max((a - b).abs().max().item() for a, b in zip(logits, plain))
        print(f"  {kind}: prompt_embeddings {tuple(saved.shape)} std {saved.std():.2f}, logits moved by at most {moved:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "logits")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    args = parser.parse_args()
    quiet()
    for seed, name in enumerate(TASKS):
        if name in args.only:
            make_model(name, 1000 + seed, args.out)


if __name__ == "__main__":
    main()
