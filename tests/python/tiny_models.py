"""The tiny random models of vectors/logits: their configs and rows. Not a program.

The geometry is chosen so that mistakes show: head sizes are not H / N, encoders and decoders have different numbers of layers
and heads, key/value heads are fewer than heads, rotary scaling and buckets of relative positions matter within 20 tokens.
"""

from common import random_ids

LENGTHS = (7, 12, 1, 3)
DECODER_LENGTHS = (4, 9, 13, 1)

# Two key/value heads serve four heads, head_dim 12 is not 32 / 4.
LLAMA_LIKE = {
    "vocab_size": 67, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 96, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
# The 6 pairs of rotated dimensions have wavelengths 6, 29, 135, ...: one is kept, one interpolated, the others slowed down.
LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}

# End-of-text tokens that these random models do produce; a list, as Llama 3 and Qwen have it.
END = {"qwen3": [62, 18], "t5": 55, "t5v11": 15, "bart": 52}

CLASSES = {"cls": "SequenceClassification", "tok": "TokenClassification", "qa": "QuestionAnswering"}


def labels(count):
    names = [f"label_{i}" for i in range(count)]
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def build_gpt2(name):
    import transformers as tf

    config = tf.GPT2Config(vocab_size=71, n_positions=64, n_embd=32, n_layer=3, n_head=4, bos_token_id=35, eos_token_id=35)
    if name == "gpt2":
        return tf.GPT2LMHeadModel(config)
    config.n_inner, config.pad_token_id = 48, 0
    if name == "gpt2-qa":
        config.n_layer = 2
        return tf.GPT2ForQuestionAnswering(config)
    config.id2label, config.label2id = labels(4).values()
    return tf.GPT2ForTokenClassification(config) if name == "gpt2-tok" else tf.GPT2ForSequenceClassification(config)


def build_first_llama(name):
    import transformers as tf

    config = tf.LlamaConfig(**{**LLAMA_LIKE, "intermediate_size": 56, "num_hidden_layers": 3})
    if name == "llama":
        return tf.LlamaForCausalLM(config)
    config.id2label, config.label2id = labels(3).values()
    return tf.LlamaForTokenClassification(config) if name == "llama-tok" else tf.LlamaForSequenceClassification(config)


def build_llama_like(name):
    import transformers as tf

    family, _, variant = name.partition("-")
    kwargs = dict(LLAMA_LIKE)
    if name == "llama3":
        kwargs["rope_parameters"] = LLAMA3_ROPE
    elif name == "llama-linear":
        kwargs["rope_parameters"] = LINEAR_ROPE
    elif name == "smollm":
        # Like SmolLM: a Llama with a tied head, an odd number of heads, and no head_dim in its config.
        kwargs.update(hidden_size=36, num_attention_heads=3, num_key_value_heads=1, head_dim=None, tie_word_embeddings=True)
    elif family == "mistral":
        kwargs["sliding_window"] = 8 if variant == "window" else 64
    elif family == "qwen2":
        # Qwen2 has no head_dim in its config: it is H / N.
        del kwargs["head_dim"]
        kwargs["tie_word_embeddings"] = True
    elif family == "qwen3":
        kwargs.update(head_dim=10, rms_norm_eps=1e-6)
        if name == "qwen3":
            kwargs["eos_token_id"] = END[name]
    if variant in CLASSES:
        kwargs.update(labels(2 if variant == "qa" else 3))
    prefix = {"mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}.get(family, "Llama")
    config = getattr(tf, f"{prefix}Config")(**kwargs)
    return getattr(tf, f"{prefix}For{CLASSES.get(variant, 'CausalLM')}")(config)


def build_first_bert(name):
    import transformers as tf

    config = tf.BertConfig(
        vocab_size=89, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=64, type_vocab_size=2, pad_token_id=0,
    )  # fmt: skip
    config.id2label, config.label2id = labels(5 if name == "bert-tok" else 3).values()
    return tf.BertForTokenClassification(config) if name == "bert-tok" else tf.BertForSequenceClassification(config)


def build_encoder(name):
    import transformers as tf

    family, _, variant = name.partition("-")
    kwargs = {
        "vocab_size": 73, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40,
        **labels({"cls": 3, "tok": 5, "qa": 2}[variant]),
    }  # fmt: skip
    if family == "bert":
        config = tf.BertConfig(max_position_embeddings=64, type_vocab_size=2, pad_token_id=0, **kwargs)
    else:
        # Positions start at pad_token_id + 1, so 40 of 42 can be used.
        config = tf.RobertaConfig(
            max_position_embeddings=42, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5,
            **kwargs,
        )  # fmt: skip
    return getattr(tf, f"{'Bert' if family == 'bert' else 'Roberta'}For{CLASSES[variant]}")(config)


def build_t5(name):
    import torch
    import transformers as tf

    common = {
        "vocab_size": 61, "d_model": 24, "d_ff": 32, "num_heads": 3, "d_kv": 6, "num_layers": 2,
        "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12, "pad_token_id": 0,
        "eos_token_id": END["t5" if name == "t5" else "t5v11"], "decoder_start_token_id": 0,
    }  # fmt: skip
    if name == "t5":
        return tf.T5ForConditionalGeneration(tf.T5Config(num_decoder_layers=3, feed_forward_proj="relu", **common))
    config = tf.T5Config(feed_forward_proj="gated-gelu", tie_word_embeddings=False, **common)
    model = tf.T5ForConditionalGeneration(config)
    # transformers 5 ties the head whatever the config says; T5 1.1 has a separate one.
    model.lm_head.weight = torch.nn.Parameter(torch.zeros(config.vocab_size, config.d_model))
    return model


def build_bart(name):
    import transformers as tf

    sizes = {"d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 3, "decoder_attention_heads": 3}
    if name == "bart":
        sizes = {"d_model": 20, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 2, "decoder_attention_heads": 4}
    config = tf.BartConfig(
        vocab_size=59, encoder_ffn_dim=32, decoder_ffn_dim=40, max_position_embeddings=40,
        scale_embedding=name == "bart", pad_token_id=1, bos_token_id=0, decoder_start_token_id=2,
        eos_token_id=END.get(name, 2), forced_eos_token_id=END.get(name, 2), **sizes,
    )  # fmt: skip
    return tf.BartForConditionalGeneration(config)


def build(name):
    """The model, with the weights that transformers initialises."""
    if name.startswith("gpt2"):
        return build_gpt2(name)
    if name in ("llama", "llama-cls", "llama-tok"):
        return build_first_llama(name)
    if name in ("bert", "bert-tok"):
        return build_first_bert(name)
    family = name.partition("-")[0]
    if family in ("bert", "roberta"):
        return build_encoder(name)
    if family in ("t5", "t5v11"):
        return build_t5(name)
    return build_bart(name) if family == "bart" else build_llama_like(name)


def make_rows(name, config, gen):
    rows = []
    for i, length in enumerate(LENGTHS):
        # Ids 0 to 3 are special in one model or another.
        ids = random_ids(gen, 4, config.vocab_size, length)
        if name.startswith(("bert", "roberta")):
            ids[0] = 2 if name.startswith("bert") else 0
        row = {"input_ids": ids}
        if name.startswith("bert") and i == 1:
            row["token_type_ids"] = [0] * 5 + [1] * (length - 5)
        if config.is_encoder_decoder:
            start = [config.decoder_start_token_id]
            row["decoder_input_ids"] = start + random_ids(gen, 4, config.vocab_size, DECODER_LENGTHS[i] - 1)
        rows.append(row)
    return rows
