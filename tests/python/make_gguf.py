"""Writes tests/vectors/gguf: blocks of every type with the values that the package `gguf` makes of them, and tiny random
models as llama.cpp's converter writes them, with the logits of transformers.

    python3 tests/python/make_gguf.py

NAME.gguf, NAME.safetensors: a model, and the logits [T, V] of each row of rows.jsonl (for bert: hidden states [T, H]).
seq2seq.jsonl: the rows of encoder-decoders.

The values that a file holds are put into transformers' own model before it computes. Where transformers reads the file
itself (gguf_file=), the script checks that it gives the same logits, and says where it does not:
- llama-rope: it passes over `rope_freqs.weight` and `rope.scaling`.
- qwen3: it passes over `attention.key_length`, and takes 128.
- gpt2: it leaves `n_positions` at 1024, and takes `n_inner` from nowhere.
- t5: it takes every T5 for a gated one.
- bert: it does not read it.

Needs gguf, numpy, safetensors, torch and transformers.
"""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers as tf
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from safetensors.numpy import save_file

OUT = Path(__file__).parent.parent / "vectors" / "gguf"

TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Where the scales of half precision are in a block: they must be finite, the other bytes may be anything.
SCALES = {
    "F16": [0], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}  # fmt: skip
VALUES = 512
VOCAB = 67
ROWS = [[5, 9, 33, 60, 2, 17, 41], [1, 64, 64, 3, 22, 8, 50, 49, 48, 13, 7, 66], [30], [12, 0, 55]]
DECODER_ROWS = [[0, 4, 18], [0, 60, 61, 62, 9], [0], [0, 33]]


def blocks(name: str, rng: np.random.Generator) -> np.ndarray:
    """Random blocks of a type, with scales of all magnitudes and signs, and subnormal ones."""
    size, bytes_ = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = VALUES // size
    made = rng.integers(0, 256, (count, bytes_), dtype=np.uint8)
    for at in SCALES[name]:
        scale = (rng.standard_normal(count) * 10.0 ** rng.integers(-7, 3, count)).astype(np.float16)
        made[:, at : at + 2] = scale.view(np.uint8).reshape(count, 2)
    if name == "BF16":
        # No NaN and no infinity.
        made[:, 1] &= 0xBF
    return made


def write_blocks() -> None:
    rng = np.random.default_rng(11)
    tensors = {}
    for name in TYPES:
        made = blocks(name, rng).reshape(-1)
        values = gguf.dequantize(made, GGMLQuantizationType[name])
        assert values.shape == (VALUES,) and np.isfinite(values).all(), name
        tensors[f"{name}.bytes"] = made
        tensors[f"{name}.values"] = np.ascontiguousarray(values)
    save_file(tensors, OUT / "blocks.safetensors")


def quantised(values: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """A matrix in a type. The package quantises no K types: for them, random blocks of about the right size."""
    kind = GGMLQuantizationType[name]
    if not name.endswith("_K"):
        return gguf.quantize(np.ascontiguousarray(values, dtype=np.float32), kind)
    size, bytes_ = GGML_QUANT_SIZES[kind]
    rows, columns = values.shape
    made = rng.integers(0, 256, (rows * columns // size, bytes_), dtype=np.uint8)
    scale = {"Q2_K": [4e-3, 4e-3], "Q3_K": [1e-3], "Q4_K": [2e-4, 1.5e-3], "Q5_K": [1e-4, 1.5e-3], "Q6_K": [3e-5]}
    for at, value in zip(SCALES[name], scale[name]):
        made[:, at : at + 2] = np.float16([value]).view(np.uint8)
    return made.reshape(rows, columns // size * bytes_)


def interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """The rows of queries or keys as llama.cpp orders them (convert_hf_to_gguf.py, LlamaModel.permute)."""
    shape = values.shape
    return values.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def in_halves(values: np.ndarray, heads: int) -> np.ndarray:
    shape = values.shape
    return values.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


LLAMA_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
GPT2_NAMES = {
    "ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
}  # fmt: skip
BERT_NAMES = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}  # fmt: skip
T5_NAMES = {
    "SelfAttention.q": "attn_q", "SelfAttention.k": "attn_k", "SelfAttention.v": "attn_v", "SelfAttention.o": "attn_o",
    "SelfAttention.relative_attention_bias": "attn_rel_b", "EncDecAttention.q": "cross_attn_q",
    "EncDecAttention.k": "cross_attn_k", "EncDecAttention.v": "cross_attn_v", "EncDecAttention.o": "cross_attn_o",
    "DenseReluDense.wi": "ffn_up", "DenseReluDense.wi_0": "ffn_gate", "DenseReluDense.wi_1": "ffn_up",
    "DenseReluDense.wo": "ffn_down",
}  # fmt: skip
WHOLE = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "shared": "token_embd", "encoder.final_layer_norm": "enc.output_norm", "decoder.final_layer_norm": "dec.output_norm",
}  # fmt: skip


def gguf_name(name: str) -> str:
    """What llama.cpp calls a tensor of transformers."""
    stem, ending = name.rsplit(".", 1)
    if stem in WHOLE:
        return f"{WHOLE[stem]}.{ending}"
    parts = stem.split(".")
    if parts[0] == "model":
        return f"blk.{parts[2]}.{LLAMA_NAMES['.'.join(parts[3:])]}.{ending}"
    if parts[0] == "transformer":
        return f"blk.{parts[2]}.{GPT2_NAMES['.'.join(parts[3:])]}.{ending}"
    if parts[1] == "layer":
        return f"blk.{parts[2]}.{BERT_NAMES['.'.join(parts[3:])]}.{ending}"
    side, part = parts[0][:3], ".".join(parts[5:])
    norms = {("enc", "0"): "attn_norm", ("enc", "1"): "ffn_norm", ("dec", "0"): "attn_norm"}
    norms |= {("dec", "1"): "cross_attn_norm", ("dec", "2"): "ffn_norm"}
    new = norms[side, parts[4]] if part == "layer_norm" else T5_NAMES[part]
    return f"{side}.blk.{parts[2]}.{new}.{ending}"


def metadata(writer: gguf.GGUFWriter, config) -> None:
    kind = config.model_type
    key = lambda name: f"{writer.arch}.{name}"  # noqa: E731
    if kind == "gpt2":
        sizes = (config.n_layer, config.n_positions, config.n_embd, config.n_inner, config.n_head)
    elif kind == "t5":
        sizes = (config.num_layers, config.n_positions, config.d_model, config.d_ff, config.num_heads)
    else:
        sizes = (config.num_hidden_layers, config.max_position_embeddings, config.hidden_size)
        sizes += (config.intermediate_size, config.num_attention_heads)
    names = ("block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count")
    for name, size in zip(names, sizes):
        writer.add_uint32(key(name), size)
    if kind in ("llama", "qwen2", "qwen3"):
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        rope = config.rope_parameters
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_vocab_size(config.vocab_size)
        if kind == "llama":
            writer.add_rope_dimension_count(config.head_dim)
        else:
            writer.add_key_length(config.head_dim)
            writer.add_value_length(config.head_dim)
        if rope["rope_type"] == "yarn":
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            writer.add_rope_scaling_factor(rope["factor"])
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if rope["rope_type"] == "llama3":
            writer.add_tensor("rope_freqs.weight", llama3_factors(config))
    elif kind == "t5":
        writer.add_key_length(config.d_kv)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        writer.add_relative_attn_buckets_count(config.relative_attention_num_buckets)
        writer.add_decoder_start_token_id(config.decoder_start_token_id)
        writer.add_vocab_size(config.vocab_size)
    else:
        writer.add_layer_norm_eps(config.layer_norm_epsilon if kind == "gpt2" else config.layer_norm_eps)
    if config.eos_token_id is not None:
        writer.add_eos_token_id(config.eos_token_id)


def llama3_factors(config) -> np.ndarray:
    """As LlamaModel.generate_extra_tensors of convert_hf_to_gguf.py."""
    rope = config.rope_parameters
    base, dim = rope["rope_theta"], config.head_dim
    freqs = 1.0 / (base ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    factor, low, high = rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"]
    context = rope["original_max_position_embeddings"]
    factors = []
    for freq in freqs:
        wave = 2 * np.pi / freq
        if wave < context / high:
            factors.append(1)
        elif wave > context / low:
            factors.append(factor)
        else:
            smooth = (context / wave - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, dtype=np.float32)


def write_model(name: str, model, kinds: dict[str, str], rng: np.random.Generator) -> None:
    """Writes a model in the types that `kinds` gives for parts of llama.cpp's names, else in F32."""
    config = model.config
    state = {}
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", config.model_type)
    metadata(writer, config)
    tied = getattr(config, "tie_word_embeddings", False)
    for hf_name, tensor in model.state_dict().items():
        if hf_name.startswith("lm_head") and tied or "embed_tokens" in hf_name and config.model_type == "t5":
            continue
        if hf_name.startswith("pooler"):
            continue
        new, values = gguf_name(hf_name), tensor.numpy()
        heads = None
        if config.model_type == "llama" and ".attn_q." in new:
            heads = config.num_attention_heads
        if config.model_type == "llama" and ".attn_k." in new:
            heads = config.num_key_value_heads
        if heads:
            values = interleaved(values, heads)
        transposed = config.model_type == "gpt2" and ".h." in hf_name and values.ndim == 2
        values = values.T if transposed else values
        kind = next((kind for part, kind in kinds.items() if part in new), "F32") if values.ndim == 2 else "F32"
        stored = quantised(values, kind, rng)
        read = gguf.dequantize(stored, GGMLQuantizationType[kind]).reshape(values.shape)
        writer.add_tensor(new, stored, raw_dtype=GGMLQuantizationType[kind])
        read = in_halves(read, heads) if heads else read
        state[hf_name] = torch.from_numpy(np.array(read.T if transposed else read))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    missing, surplus = model.load_state_dict(state, strict=False)
    assert not surplus and all("lm_head" in n or "embed_tokens" in n or "pooler" in n for n in missing), (missing, surplus)
    model.tie_weights()
    expected = run(model)
    save_file({f"row_{i:05}": logits for i, logits in enumerate(expected)}, OUT / f"{name}.safetensors")
    check(name, expected)


def run(model) -> list[np.ndarray]:
    model.eval()
    made = []
    for row, decoder in zip(ROWS, DECODER_ROWS):
        inputs = {"input_ids": torch.tensor([row])}
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = torch.tensor([decoder])
        with torch.no_grad():
            out = model(**inputs)
        made.append((out.logits if hasattr(out, "logits") else out.last_hidden_state)[0].numpy())
    return made


def check(name: str, expected: list[np.ndarray]) -> None:
    auto = tf.AutoModelForSeq2SeqLM if name.startswith("t5") else tf.AutoModelForCausalLM
    try:
        model = auto.from_pretrained(OUT, gguf_file=f"{name}.gguf", dtype=torch.float32)
        gap = max(float(np.abs(a - b).max()) for a, b in zip(run(model), expected))
        print(f"{name}: transformers' own reader differs by {gap:.1e}")
    except Exception as error:  # noqa: BLE001
        print(f"{name}: transformers does not read it: {str(error)[:100]!r}")


def scaled(model, seed: int):
    """Weights large enough for mistakes to show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * (0.15 if parameter.ndim == 2 else 0.1) + (1.0 if parameter.ndim == 1 else 0.0))
    return model


def main() -> None:
    OUT.mkdir(exist_ok=True)
    write_blocks()
    rng = np.random.default_rng(12)
    llama = {
        "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 96, "rms_norm_eps": 1e-5, "eos_token_id": 2,
    }  # fmt: skip
    plain = {"rope_type": "default", "rope_theta": 10000.0}
    yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 24}
    llama3 = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }  # fmt: skip
    wide = llama | {"hidden_size": 256, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                    "num_key_value_heads": 1}  # fmt: skip
    t5 = {
        "vocab_size": VOCAB, "d_model": 32, "d_ff": 64, "d_kv": 16, "num_heads": 2, "num_layers": 2, "n_positions": 96,
        "relative_attention_num_buckets": 8, "decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0,
    }  # fmt: skip
    mixed = {
        "token_embd": "Q8_0", "attn_q.": "Q4_1", "attn_k.": "Q5_0", "attn_v.": "F16", "attn_output": "Q5_1",
        "attn_o.": "Q5_1", "ffn_gate": "Q4_0", "ffn_up": "BF16", "ffn_down": "Q4_1", "output.weight": "Q4_0",
        "attn_qkv": "Q8_0",
    }  # fmt: skip
    k_types = {
        "token_embd": "Q6_K", "attn_q.": "Q4_K", "attn_k.": "Q5_K", "attn_v.": "Q6_K", "attn_output": "Q8_0",
        "ffn_gate": "Q2_K", "ffn_up": "Q3_K", "ffn_down": "Q5_0",
    }  # fmt: skip
    made = [
        ("llama", tf.LlamaForCausalLM(tf.LlamaConfig(**llama, rope_parameters=plain, tie_word_embeddings=False)), mixed),
        ("llama-k", tf.LlamaForCausalLM(tf.LlamaConfig(**wide, rope_parameters=plain, tie_word_embeddings=True)), k_types),
        ("llama-rope", tf.LlamaForCausalLM(tf.LlamaConfig(**llama, rope_parameters=llama3, tie_word_embeddings=True)), mixed),
        ("qwen2", tf.Qwen2ForCausalLM(tf.Qwen2Config(**llama, rope_parameters=yarn, tie_word_embeddings=True)), mixed),
        ("qwen3", tf.Qwen3ForCausalLM(tf.Qwen3Config(**llama, rope_parameters=plain, tie_word_embeddings=True)), mixed),
        ("gpt2", tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=VOCAB, n_positions=64, n_embd=32, n_inner=64, n_layer=2,
                                                  n_head=4, bos_token_id=1, eos_token_id=2)), mixed),
        ("bert", tf.BertModel(tf.BertConfig(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                            num_attention_heads=4, max_position_embeddings=64)), mixed),
        ("t5", tf.T5ForConditionalGeneration(tf.T5Config(**t5, feed_forward_proj="relu")), mixed),
        ("t5v11", tf.T5ForConditionalGeneration(tf.T5Config(**t5, feed_forward_proj="gated-gelu")), mixed),
    ]  # fmt: skip
    for seed, (name, model, kinds) in enumerate(made):
        write_model(name, scaled(model, seed), kinds, rng)
    rows = [{"input_ids": row} for row in ROWS]
    (OUT / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [row | {"decoder_input_ids": decoder} for row, decoder in zip(rows, DECODER_ROWS)]
    (OUT / "seq2seq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
