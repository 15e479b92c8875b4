"""Makes a model with random weights in bf16, as a Hugging Face folder, without torch: for a machine that has nothing but Python.

    python gpu_models.py gpt2-small OUT

Shapes are those of the models they are named after. Weights are drawn from N(0, 0.02²) from a fixed seed: one block of numbers, which goes on
and on. Its length is a prime, so that no two rows of a matrix are equal. Scales of norms are 1, biases 0.
"""

import argparse
import array
import json
import random
from pathlib import Path

STD = 0.02
# A prime.
BLOCK = 262139
ONE_IN_BF16 = b"\x80\x3f"

GPT2, LLAMA, T5 = "gpt2", "llama", "t5"
NO_SPECIALS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


def gpt2(hidden, layers, heads, vocabulary, positions):
    return {
        "model_type": GPT2, "architectures": ["GPT2LMHeadModel"], "vocab_size": vocabulary, "n_positions": positions, "n_embd": hidden,
        "n_layer": layers, "n_head": heads, **NO_SPECIALS,
    }  # fmt: skip


def llama(hidden, inner, layers, heads, kv_heads, vocabulary, positions):
    return {
        "model_type": LLAMA, "architectures": ["LlamaForCausalLM"], "vocab_size": vocabulary, "hidden_size": hidden,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "max_position_embeddings": positions, "tie_word_embeddings": True, **NO_SPECIALS,
    }  # fmt: skip


def t5(hidden, inner, layers, heads, vocabulary):
    return {
        "model_type": T5, "architectures": ["T5ForConditionalGeneration"], "vocab_size": vocabulary, "d_model": hidden, "d_kv": 64,
        "d_ff": inner, "num_layers": layers, "num_decoder_layers": layers, "num_heads": heads, "feed_forward_proj": "relu",
        "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "dropout_rate": 0.0, "tie_word_embeddings": True,
        "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
    }  # fmt: skip


CONFIGS = {
    "gpt2-small": gpt2(768, 12, 12, 50257, 1024),
    "smollm2-135m": llama(576, 1536, 30, 9, 3, 49152, 2048),
    "llama-1b": llama(2048, 8192, 16, 32, 8, 128256, 2048),
    "t5-large": t5(1024, 4096, 24, 16, 32128),
    # For a test of the programs that measure.
    "gpt2-tiny": gpt2(64, 2, 2, 1200, 64),
    "smollm2-tiny": llama(96, 128, 2, 3, 1, 1200, 64),
    "llama-tiny": llama(128, 160, 2, 4, 2, 1200, 64),
    "t5-tiny": t5(128, 160, 2, 2, 1200),
}


def tensors(config):
    """Names and shapes of the tensors of a checkpoint."""
    return {GPT2: gpt2_tensors, LLAMA: llama_tensors, T5: t5_tensors}[config["model_type"]](config)


def gpt2_tensors(config):
    h = config["n_embd"]

    def norm(name):
        return [(f"{name}.weight", [h]), (f"{name}.bias", [h])]

    def linear(name, inputs, outputs):
        return [(f"{name}.weight", [inputs, outputs]), (f"{name}.bias", [outputs])]

    yield "transformer.wte.weight", [config["vocab_size"], h]
    yield "transformer.wpe.weight", [config["n_positions"], h]
    for layer in range(config["n_layer"]):
        at = f"transformer.h.{layer}"
        yield from norm(f"{at}.ln_1")
        yield from linear(f"{at}.attn.c_attn", h, 3 * h)
        yield from linear(f"{at}.attn.c_proj", h, h)
        yield from norm(f"{at}.ln_2")
        yield from linear(f"{at}.mlp.c_fc", h, 4 * h)
        yield from linear(f"{at}.mlp.c_proj", 4 * h, h)
    yield from norm("transformer.ln_f")


def llama_tensors(config):
    h, inner = config["hidden_size"], config["intermediate_size"]
    kv = h // config["num_attention_heads"] * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", [config["vocab_size"], h]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        for name, outputs, inputs in (("q", h, h), ("k", kv, h), ("v", kv, h), ("o", h, h)):
            yield f"{at}.self_attn.{name}_proj.weight", [outputs, inputs]
        for name, outputs, inputs in (("gate", inner, h), ("up", inner, h), ("down", h, inner)):
            yield f"{at}.mlp.{name}_proj.weight", [outputs, inputs]
        yield f"{at}.input_layernorm.weight", [h]
        yield f"{at}.post_attention_layernorm.weight", [h]
    yield "model.norm.weight", [h]


def t5_tensors(config):
    h, inner, width = config["d_model"], config["d_ff"], config["num_heads"] * config["d_kv"]

    def attention(name):
        for part in "qkv":
            yield f"{name}.{part}.weight", [width, h]
        yield f"{name}.o.weight", [h, width]

    yield "shared.weight", [config["vocab_size"], h]
    for stack, sites in (("encoder", ("SelfAttention",)), ("decoder", ("SelfAttention", "EncDecAttention"))):
        for layer in range(config["num_layers"]):
            at = f"{stack}.block.{layer}.layer"
            for place, site in enumerate(sites):
                yield from attention(f"{at}.{place}.{site}")
                yield f"{at}.{place}.layer_norm.weight", [h]
            if layer == 0:
                buckets = [config["relative_attention_num_buckets"], config["num_heads"]]
                yield f"{at}.0.SelfAttention.relative_attention_bias.weight", buckets
            yield f"{at}.{len(sites)}.DenseReluDense.wi.weight", [inner, h]
            yield f"{at}.{len(sites)}.DenseReluDense.wo.weight", [h, inner]
            yield f"{at}.{len(sites)}.layer_norm.weight", [h]
        yield f"{stack}.final_layer_norm.weight", [h]


def block():
    """Numbers in bf16: the upper halves of f32."""
    rng = random.Random(0)
    numbers = array.array("f", (rng.gauss(0.0, STD) for _ in range(BLOCK))).tobytes()
    upper = bytearray(2 * BLOCK)
    upper[0::2], upper[1::2] = numbers[2::4], numbers[3::4]
    return bytes(upper)


def write_model(shape, out):
    """Writes the folder `out`."""
    config = CONFIGS[shape]
    out = Path(out)
    out.mkdir(parents=True)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    header, end = {}, 0
    for name, sizes in tensors(config):
        count = sizes[0] * (sizes[1] if len(sizes) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": sizes, "data_offsets": [end, end + 2 * count]}
        end += 2 * count
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    numbers, at = block(), 0
    with open(out / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, entry in header.items():
            left = entry["data_offsets"][1] - entry["data_offsets"][0]
            if len(entry["shape"]) == 1:
                file.write(ONE_IN_BF16 * (left // 2) if name.endswith(".weight") else bytes(left))
                continue
            while left:
                part = numbers[at : at + left]
                file.write(part)
                left, at = left - len(part), (at + len(part)) % len(numbers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=CONFIGS)
    parser.add_argument("out")
    args = parser.parse_args()
    write_model(args.shape, args.out)


if __name__ == "__main__":
    main()
