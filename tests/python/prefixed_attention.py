"""Keys and values in front of those of a transformers model's attention layers. Not a program."""

import importlib
from contextlib import contextmanager

import torch


@contextmanager
def prefixed(model, prefixes, biases=None):
    """While active, each attention module in `prefixes` sees its [P, 2, K, D] in front of its projected keys and values.

    Every query sees the prefix. A bias on the scores (T5's) is 0 there, unless `biases` has a whole [1, N, T, P + T] for the
    module. The model must have been loaded with attn_implementation "eager".
    """
    assert model.config._attn_implementation == "eager"
    modeling = importlib.import_module(type(model).__module__)
    plain = modeling.eager_attention_forward

    def attention(module, query, key, value, attention_mask, *args, **kwargs):
        prefix = prefixes.get(module)
        if prefix is not None:
            # [P, 2, K, D] to two of [B, K, P, D]
            k, v = prefix.permute(1, 2, 0, 3)[:, None].expand(-1, len(key), -1, -1, -1)
            key, value = torch.cat([k, key], dim=2), torch.cat([v, value], dim=2)
            if attention_mask is not None:
                attention_mask = torch.nn.functional.pad(attention_mask, (len(prefix), 0))
            bias = kwargs.get("position_bias")
            if bias is not None:
                kwargs["position_bias"] = (biases or {}).get(module, torch.nn.functional.pad(bias, (len(prefix), 0)))
        return plain(module, query, key, value, attention_mask, *args, **kwargs)

    modeling.eager_attention_forward = attention
    try:
        yield
    finally:
        modeling.eager_attention_forward = plain


@contextmanager
def hidden(model, modules, count):
    """While active, the attention modules in `modules` do not see their first `count` keys."""
    assert model.config._attn_implementation == "eager"
    modeling = importlib.import_module(type(model).__module__)
    plain = modeling.eager_attention_forward

    def attention(module, query, key, value, attention_mask, *args, **kwargs):
        if module in modules:
            if attention_mask is None:
                attention_mask = torch.zeros(1, 1, query.shape[2], key.shape[2])
            attention_mask = attention_mask.clone()
            attention_mask[..., :count] = torch.finfo(torch.float32).min
        return plain(module, query, key, value, attention_mask, *args, **kwargs)

    modeling.eager_attention_forward = attention
    try:
        yield
    finally:
        modeling.eager_attention_forward = plain
