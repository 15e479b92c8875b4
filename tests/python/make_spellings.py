"""Makes more of vectors/logits: checkpoints without adapters, for the different spellings of config.json and of tensor names.

    python make_spellings.py [--out ../vectors/logits] [--only gpt2-relu bert-v4]

A folder with config.json, the tensors, rows.jsonl and base.safetensors, as those of make_logits.py, for
- gpt2-relu, gpt2-gelu, gpt2-silu, gpt2-tanh, gpt2-gelu-fast, gpt2-gelu-pytorch-tanh, gpt2-quick-gelu: activation_function;
- gpt2-inverse-layer: scale_attn_by_inverse_layer_idx true (layer i divides its scores by i + 1 as well); gpt2-unscaled:
  scale_attn_weights false;
- llama-bf16, bert-f16: tensors stored in half precision; logits computed in f32 from them;
- llama-sharded: several files and model.safetensors.index.json;
- NAME-v4: as transformers 4 and older tools wrote them: torch_dtype, rope_theta and rope_scaling at the top level.
    gpt2-v4           names without `transformer.`, mask buffers h.N.attn.bias and h.N.attn.masked_bias (the Hub's gpt2)
    llama3-v4         rope_scaling with rope_type llama3, rotary_emb.inv_freq buffers (old Llama files)
    llama-linear-v4   rope_scaling with the older key `type`
    smollm-v4         names without `model.`, tied
    mistral-v4        sliding_window null
    qwen2-v4, qwen3-v4   use_sliding_window false beside a small sliding_window, which does not count
    bert-v4           names without `bert.`, LayerNorm.gamma and LayerNorm.beta, position_ids
    bert-gamma-v4     the same names with `bert.`, and the heads of pre-training, which are surplus
    roberta-v4        token classification; position_ids, the pooler and the language model's head are surplus
    t5-v4             no tie_word_embeddings (so: tied, scaled), embed_tokens and lm_head as copies of shared, and the unused
                      decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight (the Hub's t5-small)
    t5v11-v4          tie_word_embeddings false, its own lm_head (the Hub's t5-v1_1-small, flan-t5)
    bart-v4           names without `model.`, no final_logits_bias (the Hub's bart-base)

Logits come from the model before its file was rewritten; transformers loads the rewritten folder and gives the same.

Committed results: torch 2.15.0, transformers 5.23.0.
"""

import json

import torch
from common import (
    VECTORS,
    close,
    fresh,
    generator,
    load_base,
    make_cases,
    row_logits,
    save_rows,
    scale_weights,
    write_json,
    write_jsonl,
)
from names import BASE_ONLY
from safetensors.torch import load_file, save_file
from tiny_models import LINEAR_ROPE, LLAMA3_ROPE, LLAMA_LIKE, build, labels, make_rows

ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu")
SMALL_LLAMA = {**LLAMA_LIKE, "hidden_size": 24, "intermediate_size": 32}


def build_gpt2(name):
    import transformers as tf

    variant = name.removeprefix("gpt2-").replace("-", "_")
    kwargs = {"activation_function": variant} if variant in ACTIVATIONS else {}
    return tf.GPT2LMHeadModel(
        tf.GPT2Config(
            vocab_size=53, n_positions=24, n_embd=16, n_layer=1 if kwargs else 2, n_head=2, n_inner=40, bos_token_id=52,
            eos_token_id=52, scale_attn_by_inverse_layer_idx=variant == "inverse_layer", scale_attn_weights=variant != "unscaled",
            **kwargs,
        )  # fmt: skip
    )


def build_small(name):
    import transformers as tf

    family = name.removesuffix("-v4")
    if name.startswith("gpt2"):
        return build_gpt2(name)
    if family in ("llama-bf16", "llama-sharded"):
        return tf.LlamaForCausalLM(tf.LlamaConfig(**SMALL_LLAMA))
    if family == "llama3":
        return tf.LlamaForCausalLM(tf.LlamaConfig(**SMALL_LLAMA, rope_parameters=LLAMA3_ROPE))
    if family == "llama-linear":
        return tf.LlamaForCausalLM(tf.LlamaConfig(**SMALL_LLAMA, rope_parameters=LINEAR_ROPE))
    if family == "smollm":
        return tf.LlamaForCausalLM(tf.LlamaConfig(**{**SMALL_LLAMA, "head_dim": None, "tie_word_embeddings": True}))
    if family == "mistral":
        return tf.MistralForCausalLM(tf.MistralConfig(**SMALL_LLAMA, sliding_window=None))
    if family == "qwen2":
        small = {k: v for k, v in SMALL_LLAMA.items() if k != "head_dim"}
        return tf.Qwen2ForCausalLM(tf.Qwen2Config(**{**small, "tie_word_embeddings": True}))
    if family == "qwen3":
        return tf.Qwen3ForCausalLM(tf.Qwen3Config(**SMALL_LLAMA))
    sizes = {
        "vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32,
        "max_position_embeddings": 32, **labels(3),
    }  # fmt: skip
    if family in ("bert", "bert-gamma", "bert-f16"):
        return tf.BertForSequenceClassification(tf.BertConfig(type_vocab_size=2, pad_token_id=0, **sizes))
    if family == "roberta":
        config = tf.RobertaConfig(type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, **sizes)
        return tf.RobertaForTokenClassification(config)
    return build("bart-noscale" if family == "bart" else family)


# The config of transformers 4


def old_config(name, config):
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.40.0"
    if "rope_parameters" in config:
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        kind = rope.pop("rope_type")
        key = "type" if kind == "linear" else "rope_type"
        config["rope_scaling"] = None if kind == "default" else {key: kind, **rope}
    if name.startswith("qwen"):
        config.pop("layer_types", None)
        config.update(use_sliding_window=False, sliding_window=4, max_window_layers=1)
    if name.startswith("t5"):
        for key in ("dense_act_fn", "is_gated_act", "scale_decoder_outputs", "is_decoder", "tie_word_embeddings"):
            config.pop(key)
        if name == "t5v11-v4":
            config["tie_word_embeddings"] = False
    return config


# The names of transformers 4 and before


def random_like(gen, *shape):
    return torch.randn(shape, generator=gen)


def old_tensors(name, tensors, config, gen):
    prefix = {"gpt2-v4": "transformer.", "smollm-v4": "model.", "bert-v4": "bert.", "bart-v4": "model."}.get(name, "")
    old = {key.removeprefix(prefix): value for key, value in tensors.items()}
    if name.startswith("bert"):
        for new, was in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
            old = {key.replace(new, was): value for key, value in old.items()}
    if name == "gpt2-v4":
        n = config["n_positions"]
        for i in range(config["n_layer"]):
            old[f"h.{i}.attn.bias"] = torch.tril(torch.ones(n, n))[None, None].contiguous()
            old[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    elif name == "llama3-v4":
        for i in range(config["num_hidden_layers"]):
            old[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = 10000.0 ** -(torch.arange(0, 12, 2) / 12)
    elif name in ("bert-v4", "bert-gamma-v4", "roberta-v4"):
        base = {"bert-v4": "", "bert-gamma-v4": "bert.", "roberta-v4": "roberta."}[name]
        hidden, vocabulary = config["hidden_size"], config["vocab_size"]
        old[f"{base}embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
        if name == "bert-gamma-v4":
            old["cls.predictions.bias"] = random_like(gen, vocabulary)
            old["cls.predictions.transform.dense.weight"] = random_like(gen, hidden, hidden)
            old["cls.predictions.transform.dense.bias"] = random_like(gen, hidden)
            old["cls.predictions.transform.LayerNorm.gamma"] = random_like(gen, hidden)
            old["cls.predictions.transform.LayerNorm.beta"] = random_like(gen, hidden)
            old["cls.seq_relationship.weight"] = random_like(gen, 2, hidden)
            old["cls.seq_relationship.bias"] = random_like(gen, 2)
        elif name == "roberta-v4":
            old["roberta.pooler.dense.weight"] = random_like(gen, hidden, hidden)
            old["roberta.pooler.dense.bias"] = random_like(gen, hidden)
            old["lm_head.bias"] = random_like(gen, vocabulary)
            old["lm_head.dense.weight"] = random_like(gen, hidden, hidden)
            old["lm_head.dense.bias"] = random_like(gen, hidden)
            old["lm_head.layer_norm.weight"] = random_like(gen, hidden)
            old["lm_head.layer_norm.bias"] = random_like(gen, hidden)
    elif name.startswith("t5"):
        copies = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
        for copy in copies + (["lm_head.weight"] if name == "t5-v4" else []):
            old[copy] = old["shared.weight"].clone()
        if name == "t5-v4":
            unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
            old[unused] = random_like(gen, config["relative_attention_num_buckets"], config["num_heads"])
    elif name == "bart-v4":
        del old["final_logits_bias"]
    return old


def write_folder(name, model, folder, gen):
    if name.endswith(("bf16", "f16")):
        # Parameters only: buffers, as of rotary frequencies, are not in the file and stay f32.
        for p in model.parameters():
            p.data = p.data.to(torch.bfloat16 if name.endswith("bf16") else torch.float16)
        model.save_pretrained(str(folder))
        for p in model.parameters():
            p.data = p.data.float()
        return model
    model.save_pretrained(str(folder), **({"max_shard_size": "20KB"} if name == "llama-sharded" else {}))
    if name.endswith("-v4"):
        config = json.loads((folder / "config.json").read_text())
        path = folder / "model.safetensors"
        tensors = old_tensors(name, load_file(str(path)), config, gen)
        save_file(tensors, str(path), metadata={"format": "pt"})
        write_json(folder / "config.json", old_config(name, config))
    return model


def make_model(name, seed, out):
    folder, gen, task = fresh(out / name), generator(seed), BASE_ONLY[name]
    model = scale_weights(build_small(name), gen)
    rows = make_rows(name, model.config, gen)
    model = write_folder(name, model, folder, gen)
    write_jsonl(folder / "rows.jsonl", rows)
    plain = [row_logits(model, r) for r in rows]
    save_rows(folder / "base.safetensors", plain)
    loaded = load_base(folder, task)
    worst = max(close(row_logits(loaded, r), before, f"{name} loaded") for r, before in zip(rows, plain))
    size = sum(f.stat().st_size for f in folder.iterdir()) // 1000
    print(f"{name}: {size} kB, logits std {torch.cat([t.flatten() for t in plain]).std():.2f}, loaded again within {worst:.0e}")


if __name__ == "__main__":
    make_cases(__doc__, VECTORS / "logits", BASE_ONLY, make_model, 3000)
