"""Makes vectors/foreign: checkpoints as other code leaves them, and the logits of what they compute.

    python make_foreign.py [--out ../vectors/foreign] [--only ptv2-bert liang-gpt2]

One folder per case, for a base of vectors/logits:
- a file as torch.save or save_file writes it, with the names of that code. The modules here have the same parameters and
  the same forward pass as the original ones, which are named in CASES; their values are random;
- logits.safetensors: what the base computes for its rows.jsonl with the keys and values, or the rows in front, that the
  module makes, each row alone and unpadded. The virtual tokens go in as `past_key_values` or `inputs_embeds`, and for
  BART, which takes neither in its encoder, as in prefixed_attention.py.
cases.json: base, file, task, further flags of `peft convert`, and what it should call the file.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import peft
import torch
from common import (
    VECTORS,
    fresh,
    generator,
    load_base,
    make_cases,
    output_logits,
    randomise_adapter,
    read_jsonl,
    row_inputs,
    row_logits,
    save_rows,
    write_json,
)
from make_sites import attention_modules
from names import TASKS
from prefixed_attention import prefixed
from safetensors.torch import save_file
from torch import nn
from transformers import DynamicCache

P, MID = 4, 6


class PrefixEncoder(nn.Module):
    """THUDM/P-tuning-v2 model/prefix_encoder.py, also ChatGLM's."""

    def __init__(self, width, hidden, projection):
        super().__init__()
        self.projection = projection
        if projection:
            self.embedding = nn.Embedding(P, hidden)
            self.trans = nn.Sequential(nn.Linear(hidden, MID), nn.Tanh(), nn.Linear(MID, width))
        else:
            self.embedding = nn.Embedding(P, width)

    def forward(self):
        rows = self.embedding(torch.arange(P))
        return self.trans(rows) if self.projection else rows


class ControlTrans(nn.Module):
    """XiangLi1999/PrefixTuning gpt2/train_control.py and seq2seq/prefixTuning.py, thunlp/OpenPrompt's prefix template."""

    def __init__(self, hidden, widths, deep=False):
        super().__init__()
        for end, width in widths.items():
            inner = [nn.Linear(MID, MID), nn.Tanh()] if deep else []
            setattr(self, f"wte{end}", nn.Embedding(P, hidden))
            layers = [nn.Linear(hidden, MID), nn.Tanh(), *inner, nn.Linear(MID, width)]
            setattr(self, f"control_trans{end}", nn.Sequential(*layers))

    def forward(self, end=""):
        return getattr(self, f"control_trans{end}")(getattr(self, f"wte{end}")(torch.arange(P)))


def geometry(config):
    """Layers, key/value heads, head size."""
    layers = getattr(config, "num_hidden_layers", None) or config.n_layer
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return layers, heads, getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def width_of(config):
    layers, heads, size = geometry(config)
    return layers * 2 * heads * size


def randomise(module, gen):
    for name, p in sorted(module.named_parameters()):
        noise = torch.randn(p.shape, generator=gen)
        scale = 1.0 if "embedding" in name or "wte" in name else 0.3 if name.endswith("bias") else 1.5 / p.shape[-1] ** 0.5
        p.data.copy_(scale * noise)
    return module.eval()


def new_head(model, gen):
    """A random head, as P-tuning v2 trains: one linear layer."""
    classes = model.qa_outputs.out_features if hasattr(model, "qa_outputs") else model.num_labels
    return randomise(nn.Linear(model.config.hidden_size, classes), gen)


@torch.no_grad()
def with_past(model, row, flat, head):
    """As the original code: view, permute and split the flat keys and values, then [prefix ; row]."""
    layers, heads, size = geometry(model.config)
    past = flat[None].view(1, P, layers * 2, heads, size).permute([2, 0, 3, 1, 4]).split(2)
    inputs = row_inputs(row)
    inputs["attention_mask"] = torch.ones(1, P + len(row["input_ids"]), dtype=torch.long)
    cache = DynamicCache([(pair[0], pair[1]) for pair in past])
    if head is None:
        return model(**inputs, past_key_values=cache).logits[0]
    backbone = getattr(model, model.base_model_prefix)
    out = backbone(**inputs, past_key_values=cache)
    if TASKS_OF[model.config.name] != "SEQ_CLS":
        return head(out.last_hidden_state)[0]
    # P-tuning v2's RoBERTa has a pooler, which that of transformers lacks here.
    pooled = out.pooler_output if out.pooler_output is not None else POOLER["dense"](out.last_hidden_state[:, 0]).tanh()
    return head(pooled)[0]


@torch.no_grad()
def with_rows(model, row, prompt):
    """[prompt ; row], embedded."""
    inputs = row_inputs(row)
    embeds = torch.cat([prompt, model.get_input_embeddings()(inputs.pop("input_ids"))[0]])[None]
    inputs["attention_mask"] = torch.ones(embeds.shape[:2], dtype=torch.long)
    logits = output_logits(model(inputs_embeds=embeds, **inputs))[0]
    return logits if "decoder_input_ids" in inputs else logits[len(prompt) :]


TASKS_OF, POOLER = {}, {}


def base_of(name, **kwargs):
    model = load_base(VECTORS / "logits" / name, TASKS[name], **kwargs)
    model.config.name = name
    TASKS_OF[name] = TASKS[name]
    return model


def plain(state):
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}


def ptv2(name, gen, projection=False, backbone=False, wrapper="", half=False):
    """P-tuning v2 on an encoder."""
    model = base_of(name)
    encoder = randomise(PrefixEncoder(width_of(model.config), model.config.hidden_size, projection), gen)
    head, field = new_head(model, gen), "qa_outputs" if hasattr(model, "qa_outputs") else "classifier"
    if half:
        encoder.half().float()
    state = {f"prefix_encoder.{key}": value for key, value in encoder.state_dict().items()}
    state.update({f"{field}.{key}": value for key, value in head.state_dict().items()})
    if backbone:
        own = model.state_dict()
        state.update({key: value for key, value in own.items() if key.startswith(f"{model.base_model_prefix}.")})
        state[f"{model.base_model_prefix}.embeddings.position_ids"] = torch.arange(64)[None]
    if name.startswith("roberta") and TASKS[name] == "SEQ_CLS":
        POOLER["dense"] = randomise(nn.Linear(model.config.hidden_size, model.config.hidden_size), gen)
        state.update({f"roberta.pooler.dense.{key}": value for key, value in POOLER["dense"].state_dict().items()})
    flat = encoder().detach()
    logits = [with_past(model, row, flat, head) for row in rows_of(name)]
    state = {wrapper + key: value.half() if half and "prefix" in key else value for key, value in plain(state).items()}
    return state, logits


def chatglm(name, gen):
    model = base_of(name)
    encoder = randomise(PrefixEncoder(width_of(model.config), model.config.hidden_size, False), gen)
    logits = [with_past(model, row, encoder().detach(), None) for row in rows_of(name)]
    return {f"transformer.prefix_encoder.{k}": v for k, v in plain(encoder.state_dict()).items()}, logits


def liang(name, gen, deep=False, root="", extra=()):
    model = base_of(name)
    module = randomise(ControlTrans(model.config.hidden_size, {"": width_of(model.config)}, deep), gen)
    logits = [with_past(model, row, module().detach(), None) for row in rows_of(name)]
    return {**{root + k: v for k, v in plain(module.state_dict()).items()}, **dict(extra)}, logits


def liang_embedding(name, gen):
    """PrefixEmbTuning: the MLP makes embeddings, which the model reads."""
    model = base_of(name)
    module = randomise(ControlTrans(model.config.hidden_size, {"": model.config.hidden_size}), gen)
    return plain(module.state_dict()), [with_rows(model, row, module().detach()) for row in rows_of(name)]


def liang_bart(name, gen):
    model = base_of(name, attn_implementation="eager")
    config = model.config
    width = config.decoder_layers * 2 * config.d_model
    module = randomise(ControlTrans(config.d_model, {"": width, "_enc": width, "2": width}), gen)
    sites = {"encoder-self": "_enc", "decoder-self": "", "cross": "2"}
    prefixes = {}
    for site, end in sites.items():
        flat = module(end).detach().view(P, config.decoder_layers, 2, config.decoder_attention_heads, -1)
        prefixes.update({layer: flat[:, i] for i, layer in enumerate(attention_modules(model, site))})
    with prefixed(model, prefixes):
        logits = [row_logits(model, row) for row in rows_of(name)]
    return {"epoch": 3, "state_dict": {f"model.{k}": v for k, v in plain(module.state_dict()).items()}}, logits


def peft_state(name, gen, kind, keep=lambda _: True):
    """The state dict of a whole PEFT model, and PEFT's logits."""
    task = TASKS[name]
    common = {"task_type": task, "num_virtual_tokens": P}
    config = {
        "prompt": lambda: peft.PromptTuningConfig(**common),
        "mlp": lambda: peft.PromptEncoderConfig(**common, encoder_hidden_size=MID),
        "prefix": lambda: peft.PrefixTuningConfig(**common),
        "projection": lambda: peft.PrefixTuningConfig(**common, prefix_projection=True, encoder_hidden_size=MID),
    }[kind]()
    model = randomise_adapter(peft.get_peft_model(base_of(name), config), gen)
    logits = [row_logits(model, row) for row in rows_of(name)]
    return {k: v for k, v in plain(model.state_dict()).items() if keep(k)}, logits


def soft_template(name, gen):
    model = base_of(name)
    prompt = 0.6 * torch.randn(P, model.config.hidden_size, generator=gen)
    state = {"template.soft_embeds": prompt, "template.raw_embedding.weight": model.get_input_embeddings().weight}
    return plain(state), [with_rows(model, row, prompt) for row in rows_of(name)]


def no_layers(key):
    return ".h." not in key and ".layer." not in key and ".block." not in key


# case: base, file, the flags of `peft convert`, what it is called, how it is made
CASES = {
    "ptv2-bert": ("bert", "pytorch_model.bin", "--task seq-cls", "P-tuning v2", lambda g: ptv2("bert", g, backbone=True)),
    "ptv2-roberta": ("roberta-cls", "pytorch_model.bin", "--task seq-cls", "P-tuning v2", lambda g: ptv2("roberta-cls", g, True)),
    "ptv2-bert-tok": (
        "bert-tok", "model.safetensors", "--task token-cls", "P-tuning v2",
        lambda g: ptv2("bert-tok", g, wrapper="module.", half=True),
    ),
    "ptv2-bert-qa": ("bert-qa", "pytorch_model.bin", "", "P-tuning v2", lambda g: ptv2("bert-qa", g)),
    "chatglm-llama": ("llama", "pytorch_model.bin", "--task causal-lm", "P-tuning v2", lambda g: chatglm("llama", g)),
    "liang-gpt2": ("gpt2", "pytorch_model.bin", "--task causal-lm", "prefix tuning", lambda g: liang("gpt2", g)),
    "liang-gpt2-deep": ("gpt2", "pytorch_model.bin", "--task causal-lm", "prefix tuning", lambda g: liang("gpt2", g, True)),
    "liang-gpt2-embedding": ("gpt2", "pytorch_model.bin", "--task causal-lm", "prefix tuning", lambda g: liang_embedding("gpt2", g)),
    "liang-bart": ("bart-noscale", "epoch.ckpt", "--task seq2seq-lm", "prefix tuning", lambda g: liang_bart("bart-noscale", g)),
    "peft-gpt2-prompt": (
        "gpt2", "state.pt", "--task causal-lm", "state dict of PEFT", lambda g: peft_state("gpt2", g, "prompt", no_layers),
    ),
    "peft-gpt2-mlp": ("gpt2", "state.pt", "--task causal-lm", "state dict of PEFT", lambda g: peft_state("gpt2", g, "mlp", no_layers)),
    "peft-llama-prefix": (
        "llama", "state.pt", "--task causal-lm", "state dict of PEFT",
        lambda g: peft_state("llama", g, "prefix", lambda k: k.startswith("prompt_encoder")),
    ),
    "peft-bert-projection": (
        "bert", "state.pt", "--task seq-cls", "state dict of PEFT", lambda g: peft_state("bert", g, "projection", no_layers),
    ),
    "peft-bert-qa": ("bert-qa", "state.pt", "", "state dict of PEFT", lambda g: peft_state("bert-qa", g, "prefix", no_layers)),
    "peft-t5": (
        "t5", "state.pt", f"--task seq2seq-lm --num-virtual-tokens {P}", "state dict of PEFT",
        lambda g: peft_state("t5", g, "prompt", no_layers),
    ),
    "openprompt-soft": ("gpt2", "template.bin", "--task causal-lm", "soft template", lambda g: soft_template("gpt2", g)),
    "openprompt-prefix": (
        "gpt2", "template.bin", "--task causal-lm", "prefix tuning",
        lambda g: liang("gpt2", g, root="prompt_model.template.", extra={"prompt_model.template.input_tokens": torch.arange(P)}.items()),
    ),
}  # fmt: skip


def rows_of(name):
    return read_jsonl(VECTORS / "logits" / name / "rows.jsonl")


def make_case(case, seed, out):
    base, file, flags, called, make = CASES[case]
    state, logits = make(generator(seed))
    folder = fresh(out / case)
    if file.endswith(".safetensors"):
        save_file(state, str(folder / file))
    else:
        torch.save(state, folder / file)
    save_rows(folder / "logits.safetensors", logits)
    before = [row_logits(base_of(base), row) for row in rows_of(base)]
    moved = max((a - b).abs().max().item() for a, b in zip(logits, before))
    assert moved > 0.05, f"{case} changes nothing"
    print(f"{case}: {(folder / file).stat().st_size} bytes, logits moved by at most {moved:.2f}")


def main():
    out = make_cases(__doc__, VECTORS / "foreign", CASES, make_case, 6000)
    cases = {
        case: {"base": base, "file": file, "flags": flags, "called": called}
        for case, (base, file, flags, called, _) in CASES.items()
    }
    write_json(out / "cases.json", cases)


if __name__ == "__main__":
    main()
