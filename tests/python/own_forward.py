"""T5 and BART written from their equations, with given keys and values in front of any attention. Not a program.

The second way of make_sites.py: it does not call transformers, only reads the tensors of model.safetensors.

A prefix is {site: [P, L, 2, N, D]}, sites `encoder-self`, `decoder-self`, `cross`, L the layers of that site's stack. Its keys
and values stand in front of the projected ones: no projection, no bias, visible to every query. `shifted`: real tokens of a
side whose self-attention has a prefix take positions P, P + 1, ...; `relative_bias`: T5's relative bias reaches over the
prefix as if it stood at positions 0 to P - 1, instead of being 0 there.
"""

import math

import torch


def attend(q, k, v, scale, bias=None, causal=False, prefix=None):
    """q, k, v: [N, T, D], [N, S, D], [N, S, D]; bias: [N, T, S] or [N, T, P + S]; gives [T, N * D]."""
    p = 0
    if prefix is not None:
        p = len(prefix)
        k = torch.cat([prefix[:, 0].transpose(0, 1), k], dim=1)
        v = torch.cat([prefix[:, 1].transpose(0, 1), v], dim=1)
    scores = torch.einsum("ntd,nsd->nts", q, k) * scale
    if bias is not None:
        missing = scores.shape[-1] - bias.shape[-1]
        scores = scores + torch.nn.functional.pad(bias, (missing, 0))
    if causal:
        t = q.shape[1]
        future = torch.arange(t)[None] > torch.arange(t)[:, None]
        scores[:, :, p:] = scores[:, :, p:].masked_fill(future, -math.inf)
    return torch.einsum("nts,nsd->tnd", scores.softmax(-1), v).flatten(1)


def split(x, heads):
    return x.view(len(x), heads, -1).transpose(0, 1)


class Prefixes:
    def __init__(self, sites, shifted=False, relative_bias=False):
        self.sites, self.shifted, self.relative_bias = sites, shifted, relative_bias

    def layer(self, site, i):
        return self.sites[site][:, i] if site in self.sites else None

    def count(self, site):
        return len(self.sites[site]) if site in self.sites else 0

    def offset(self, site):
        return self.count(site) if self.shifted else 0


# T5


def rms_norm(x, weight, eps):
    return weight * x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()


def bucket(distance, config, bidirectional):
    """Of one relative position, key minus query (Raffel et al. 2020, section 2.1; Mesh TensorFlow's buckets)."""
    count, first = config.relative_attention_num_buckets, 0
    if bidirectional:
        count //= 2
        first, distance = (count if distance > 0 else 0), abs(distance)
    else:
        distance = max(-distance, 0)
    exact = count // 2
    if distance < exact:
        return first + distance
    log = math.log(distance / exact) / math.log(config.relative_attention_max_distance / exact)
    return first + min(exact + int(log * (count - exact)), count - 1)


def relative_bias(table, queries, keys, config, bidirectional):
    """[N, len(queries), len(keys)] of positions."""
    rows = [[bucket(k - q, config, bidirectional) for k in keys] for q in queries]
    return table[torch.tensor(rows)].permute(2, 0, 1)


def t5_stack(w, config, side, x, memory, prefixes):
    site = f"{side}-self"
    p, length = prefixes.count(site), len(x)
    reach = p if prefixes.relative_bias else 0
    table = w[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    bias = relative_bias(table, range(reach, reach + length), range(reach + length), config, side == "encoder")
    heads, eps = config.num_heads, config.layer_norm_epsilon
    for i in range(config.num_layers if side == "encoder" else config.num_decoder_layers):
        block = f"{side}.block.{i}.layer"

        def project(which, name, y):
            return split(y @ w[f"{which}.{name}.weight"].T, heads)

        a, y = f"{block}.0.SelfAttention", rms_norm(x, w[f"{block}.0.layer_norm.weight"], eps)
        q, k, v = (project(a, n, y) for n in "qkv")
        x = x + attend(q, k, v, 1.0, bias, side == "decoder", prefixes.layer(site, i)) @ w[f"{a}.o.weight"].T
        last = 1
        if side == "decoder":
            last, a, y = 2, f"{block}.1.EncDecAttention", rms_norm(x, w[f"{block}.1.layer_norm.weight"], eps)
            q, k, v = project(a, "q", y), project(a, "k", memory), project(a, "v", memory)
            x = x + attend(q, k, v, 1.0, prefix=prefixes.layer("cross", i)) @ w[f"{a}.o.weight"].T
        f, y = f"{block}.{last}.DenseReluDense", rms_norm(x, w[f"{block}.{last}.layer_norm.weight"], eps)
        if config.feed_forward_proj == "gated-gelu":
            inner = y @ w[f"{f}.wi_0.weight"].T
            inner = 0.5 * inner * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
            inner = inner * (y @ w[f"{f}.wi_1.weight"].T)
        else:
            inner = (y @ w[f"{f}.wi.weight"].T).clamp(min=0)
        x = x + inner @ w[f"{f}.wo.weight"].T
    return rms_norm(x, w[f"{side}.final_layer_norm.weight"], eps)


def t5(w, config, row, prefixes):
    memory = t5_stack(w, config, "encoder", w["shared.weight"][row["input_ids"]], None, prefixes)
    x = t5_stack(w, config, "decoder", w["shared.weight"][row["decoder_input_ids"]], memory, prefixes)
    if config.scale_decoder_outputs:
        x = x * config.d_model**-0.5
    return x @ w.get("lm_head.weight", w["shared.weight"]).T


# BART


def layer_norm(x, w, name):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def bart_stack(w, config, side, ids, memory, prefixes):
    base, site = f"model.{side}", f"{side}-self"
    heads = getattr(config, f"{side}_attention_heads")
    scale = (config.d_model // heads) ** -0.5
    x = w["model.shared.weight"][ids] * (config.d_model**0.5 if config.scale_embedding else 1.0)
    # Its position tables begin with two unused rows.
    first = 2 + prefixes.offset(site)
    x = x + w[f"{base}.embed_positions.weight"][first : first + len(ids)]
    x = layer_norm(x, w, f"{base}.layernorm_embedding")
    for i in range(getattr(config, f"{side}_layers")):
        layer = f"{base}.layers.{i}"

        def attention(name, x, source, causal, prefix):
            q, k, v = (split(linear(y, w, f"{layer}.{name}.{n}_proj"), heads) for n, y in zip("qkv", (x, source, source)))
            out = linear(attend(q, k, v, scale, None, causal, prefix), w, f"{layer}.{name}.out_proj")
            return layer_norm(x + out, w, f"{layer}.{name}_layer_norm")

        x = attention("self_attn", x, x, side == "decoder", prefixes.layer(site, i))
        if side == "decoder":
            x = attention("encoder_attn", x, memory, False, prefixes.layer("cross", i))
        inner = linear(x, w, f"{layer}.fc1")
        inner = 0.5 * inner * (1 + torch.erf(inner / math.sqrt(2)))
        x = layer_norm(x + linear(inner, w, f"{layer}.fc2"), w, f"{layer}.final_layer_norm")
    return x


def bart(w, config, row, prefixes):
    memory = bart_stack(w, config, "encoder", row["input_ids"], None, prefixes)
    x = bart_stack(w, config, "decoder", row["decoder_input_ids"], memory, prefixes)
    return x @ w.get("lm_head.weight", w["model.shared.weight"]).T + w["final_logits_bias"][0]


@torch.no_grad()
def forward(w, config, row, prefixes):
    """Logits [T, V] of one row."""
    return (t5 if config.model_type == "t5" else bart)(w, config, row, prefixes)
