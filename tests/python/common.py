"""Helpers shared by the scripts of this folder: tiny models, rows, adapter folders, tensors of logits.

Not a program. Versions that made the committed results: Python 3.11.7, torch 2.15.0, transformers 5.23.0,
peft 0.21.2, safetensors 0.8.0, tokenizers 0.23.3, one thread on a CPU.
"""

import argparse
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch  # noqa: E402
from names import EAGER  # noqa: E402

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors"
SHARED = HERE.parents[2] / "shared"

NUM_VIRTUAL_TOKENS = 5
IGNORE = -100


def quiet():
    """One thread and no log output, so that the same machine gives the same bytes."""
    import warnings

    import transformers

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")


def make_cases(doc, out, cases, make, seed):
    """The command line of a script with a folder for each case: `make(case, seed, out)` for those of --only.

    A case has the same seed whichever others are made. Returns --out.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--only", nargs="+", choices=cases, default=list(cases))
    args = parser.parse_args()
    quiet()
    for index, case in enumerate(cases):
        if case in args.only:
            make(case, seed + index, args.out)
    return args.out


def generator(seed):
    return torch.Generator().manual_seed(seed)


def fresh(folder):
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


# Rows


def read_jsonl(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def write_jsonl(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def write_json(path, value):
    Path(path).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def random_ids(gen, low, high, length):
    return torch.randint(low, high, (length,), generator=gen).tolist()


# Tensors


def save_rows(path, tensors):
    """One f32 tensor per row, named row_00000, row_00001, ..."""
    from safetensors.torch import save_file

    named = {f"row_{i:05d}": t.detach().float().contiguous().cpu() for i, t in enumerate(tensors)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    save_file(named, str(path))


ROW_INPUTS = ("input_ids", "token_type_ids", "decoder_input_ids")


def row_inputs(row):
    inputs = {k: torch.tensor([row[k]], dtype=torch.long) for k in ROW_INPUTS if row.get(k) is not None}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return inputs


def output_logits(out):
    """[B, T, V], [B, T, C], [B, C] or, for question answering, [B, T, 2]."""
    if hasattr(out, "start_logits"):
        return torch.stack([out.start_logits, out.end_logits], dim=-1)
    return out.logits


@contextmanager
def token_types_kept(model, inputs):
    """PEFT's question answering takes token_type_ids and drops them: here they reach the embeddings, 0 for virtual tokens.

    This project's adapters are trained with them; those that PEFT made are computed as PEFT does, without.
    """
    types = inputs.get("token_type_ids")
    if types is None or type(model).__name__ != "PeftModelForQuestionAnswering":
        yield
        return

    def hook(_, args, kwargs):
        seen = kwargs["input_ids"] if kwargs.get("input_ids") is not None else kwargs["inputs_embeds"]
        virtual = torch.zeros(len(types), seen.shape[1] - types.shape[1], dtype=torch.long)
        return args, {**kwargs, "token_type_ids": torch.cat([virtual, types], dim=1)}

    base = model.get_base_model()
    embeddings = getattr(base, base.base_model_prefix).embeddings
    handle = embeddings.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def row_logits(model, row):
    """The logits of one unpadded row; rows of virtual tokens, which PEFT puts in front, are cut off."""
    inputs = row_inputs(row)
    logits = output_logits(model(**inputs))[0]
    if logits.dim() == 2:
        length = inputs.get("decoder_input_ids", inputs["input_ids"]).shape[1]
        virtual = logits.shape[0] - length
        expected = getattr(model, "peft_config", None)
        allowed = {0} if expected is None else {0, model.active_peft_config.num_virtual_tokens}
        if virtual not in allowed:
            raise ValueError(f"{logits.shape[0]} positions of logits for {length} tokens")
        logits = logits[virtual:]
    return logits


@torch.no_grad()
def new_ids(model, ids, start, **settings):
    """What transformers or PEFT generates behind `ids`; in an encoder-decoder, behind the token `start`."""
    kwargs = {}
    if model.config.is_encoder_decoder:
        from transformers import DynamicCache, EncoderDecoderCache

        # For a T5 whose decoder is deeper than its encoder, transformers makes a cache for the encoder's layers and
        # fails.
        kwargs["past_key_values"] = EncoderDecoderCache(DynamicCache(), DynamicCache())
    input_ids = torch.tensor([ids])
    mask = torch.ones_like(input_ids)
    out = model.generate(input_ids=input_ids, attention_mask=mask, **settings, **kwargs)[0].tolist()
    first = [start] if model.config.is_encoder_decoder else ids
    assert out[: len(first)] == first
    return out[len(first) :]


# Comparing


def close(a, b, what, tolerance=2e-5):
    worst = (a - b).abs().max().item()
    assert a.shape == b.shape and worst <= tolerance, f"{what}: {tuple(a.shape)} {tuple(b.shape)} differ by {worst}"
    return worst


# Models


def embedding_std(config, name, tied):
    if config.model_type == "t5":
        # Its tied head divides by the square root of the hidden size.
        return 1.0 if config.scale_decoder_outputs else 0.7
    if tied and any(k in name for k in ("wte", "embed_tokens", "shared")):
        return 0.3
    return 0.7


def scale_weights(model, gen):
    """Random weights for which logits vary by about 1 and attention is not uniform."""
    tied = getattr(model.config, "tie_word_embeddings", False)
    seen = set()
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if id(p) in seen:
                continue
            seen.add(id(p))
            noise = torch.randn(p.shape, generator=gen)
            if name.endswith("bias"):
                p.copy_((0.1 if tied else 0.2) * noise)
            elif p.dim() == 1:
                p.copy_(1.0 + 0.2 * noise)
            elif "relative_attention_bias" in name:
                p.copy_(noise)
            elif any(k in name for k in ("wte", "wpe", "embed", "shared")):
                p.copy_(embedding_std(model.config, name, tied) * noise)
            elif name.endswith("Attention.q.weight"):
                # T5 does not divide attention scores by the square root of the head's size.
                p.copy_(0.7 * noise / p.shape[1] ** 0.5)
            else:
                conv1d = any(k in name for k in ("c_attn", "c_proj", "c_fc"))
                fan_in = p.shape[0] if conv1d else p.shape[1]
                sharp = any(k in name for k in ("c_attn", "q_proj", "k_proj", "query", "key"))
                head = any(k in name for k in ("lm_head", "classifier", "score"))
                gain = 1.6 if sharp or head or tied else 1.0
                p.copy_(gain * noise / fan_in**0.5)
    return model.eval()


def auto_class(task_type):
    import transformers

    return {
        "CAUSAL_LM": transformers.AutoModelForCausalLM,
        "SEQ_CLS": transformers.AutoModelForSequenceClassification,
        "TOKEN_CLS": transformers.AutoModelForTokenClassification,
        "QUESTION_ANS": transformers.AutoModelForQuestionAnswering,
        "SEQ_2_SEQ_LM": transformers.AutoModelForSeq2SeqLM,
    }[task_type]


def load_base(folder, task_type, **kwargs):
    if not (Path(folder) / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: no config.json")
    if Path(folder).name in EAGER:
        kwargs.setdefault("attn_implementation", "eager")
    return auto_class(task_type).from_pretrained(str(folder), dtype=torch.float32, **kwargs).eval()


# Adapters


def decoder_geometry(config):
    """The settings of an encoder-decoder's prefix that PEFT would otherwise guess from the encoder or from H / N."""
    if config.model_type == "t5":
        layers, heads, dim = config.num_decoder_layers, config.num_heads, config.d_kv
    else:
        layers, heads = config.decoder_layers, config.decoder_attention_heads
        dim = config.d_model // heads
    return {"num_layers": layers, "num_attention_heads": heads, "token_dim": heads * dim}


def peft_config(kind, task_type, hidden=16, base=None):
    """PEFT's config with five virtual tokens.

    `prompt`, `prefix`, `prefix-mlp`; `p-tuning` and `p-tuning-lstm` (PEFT's P_TUNING with its MLP or LSTM); `prompt-2`, the prompt of an encoder-decoder
    as PEFT makes it by default, with a second half that nothing reads. `base`: the model's config, needed for
    the prefix of an encoder-decoder.
    """
    from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig

    common = {"task_type": task_type, "num_virtual_tokens": NUM_VIRTUAL_TOKENS}
    if kind == "prompt" and task_type == "SEQ_2_SEQ_LM":
        return PromptTuningConfig(**common, num_transformer_submodules=1)
    if kind in ("prompt", "prompt-2"):
        return PromptTuningConfig(**common)
    if kind in ("p-tuning", "p-tuning-lstm"):
        layers = "LSTM" if kind == "p-tuning-lstm" else "MLP"
        return PromptEncoderConfig(**common, encoder_reparameterization_type=layers, encoder_hidden_size=hidden)
    if task_type == "SEQ_2_SEQ_LM":
        common.update(decoder_geometry(base))
    if kind == "prefix":
        return PrefixTuningConfig(**common)
    return PrefixTuningConfig(**common, prefix_projection=True, encoder_hidden_size=hidden)


def is_adapter_parameter(name):
    return "prompt_encoder" in name or "modules_to_save" in name


def randomise_adapter(model, gen, prompt_std=0.6, prefix_std=1.0):
    """Random prompt rows, prefix or MLP, and a random head where the adapter has one."""
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if not is_adapter_parameter(name):
                continue
            noise = torch.randn(p.shape, generator=gen)
            if "modules_to_save" in name:
                p.copy_((0.2 if name.endswith("bias") else 1.6 / p.shape[-1] ** 0.5) * noise)
            elif "embedding" in name:
                prefix = model.active_peft_config.peft_type == "PREFIX_TUNING"
                p.copy_((prefix_std if prefix else prompt_std) * noise)
            elif "bias" in name.rsplit(".", 1)[-1]:
                p.copy_(0.3 * noise)
            else:
                # The layers of an MLP or an LSTM: sums that vary by about 1.
                p.copy_(1.3 * noise / p.shape[1] ** 0.5)
    return model.eval()


def new_adapter(base, kind, task_type, gen, **kwargs):
    from peft import get_peft_model

    return randomise_adapter(get_peft_model(base, peft_config(kind, task_type, base=base.config)), gen, **kwargs)


def save_adapter(model, folder, base_name):
    """The folder that save_pretrained writes, without the model card and with a base model name that is not a local path."""
    folder = Path(folder)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = base_name
    path.write_text(json.dumps(config, indent=2, sort_keys=True))


def load_adapter(base, folder):
    from peft import PeftModel

    return PeftModel.from_pretrained(base, str(folder)).eval()
