"""Makes vectors/base_models: tiny checkpoints in the forms that older tools left, and the logits of the models in them.

    python make_base_models.py [--out ../vectors/base_models]

transformers 5 no longer writes pytorch_model.bin, so torch.save writes the state dicts here, in the forms of
transformers 4 and before. For each name a folder with config.json, the weights, rows.jsonl (token ids) and
expected.safetensors: the logits of the model in memory, row_00000, ..., f32.

- gpt2-old: the format of torch before 1.6, names without `transformer.`, the buffers attn.bias and attn.masked_bias;
- llama-shards: two files and an index, bf16, rotary_emb.inv_freq, and a v_head as TRL saves it;
- bert-trained: what a training script saved: {"epoch": ..., "state_dict": ...} of a DataParallel (`module.`), the names
  gamma and beta, position_ids, and the heads of pretraining;
- t5-tied: the four names of one embedding share a storage; matrices saved as transposed views; the relative bias
  of cross-attention that early checkpoints have;
- roberta-f16: values of half precision, views on one flat storage (some not aligned), an unused pooler;
- t5-texts: texts, with a SentencePiece model (spiece.model, Unigram) as the only file of the tokenizer, and more embeddings than tokens;
  as the checkpoints of T5 1.1 adapted to language modelling are;
- llama-texts: the same for a decoder (tokenizer.model, pairs with byte fallback), in half precision and the format of torch before 1.6.

The last two hold texts.jsonl: what AutoTokenizer makes of a text, and the ids and the text that `generate` adds to it, greedily.

Needs sentencepiece and protobuf, too. Committed results: torch 2.15.0, transformers 5.23.0, sentencepiece 0.2.2.
"""

import argparse
import io
import json
from collections import OrderedDict
from pathlib import Path

import sentencepiece
import torch
import transformers
from common import VECTORS, fresh, generator, quiet, write_jsonl
from safetensors.torch import save_file

VOCAB = 29
ROWS = [[3, 4, 5, 6, 7, 8], [9, 10, 11], [28, 2, 12, 13]]
SPECIAL = {"vocab_size": VOCAB, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def randomized(model, seed):
    """All parameters from N(0, 0.3^2), norms around 1, so that nothing is by chance at its initial value."""
    numbers = generator(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, 0.3, generator=numbers)
            if parameter.dim() == 1 and name.endswith("weight"):
                parameter.add_(1.0)
    return model.eval()


def save(folder, model, rows, inputs):
    config = model.config.to_dict()
    config["architectures"] = [type(model).__name__]
    (folder / "config.json").write_text(json.dumps(config, indent=1, default=str) + "\n")
    write_jsonl(folder / "rows.jsonl", rows)
    logits = {}
    with torch.no_grad():
        for index, row in enumerate(rows):
            found = model(**inputs(row)).logits[0].float()
            logits[f"row_{index:05}"] = found.contiguous().clone()
    save_file(logits, folder / "expected.safetensors")


def ids(row):
    return {key: torch.tensor([value]) for key, value in row.items()}


def plain_rows():
    return [{"input_ids": row} for row in ROWS]


def gpt2_old(folder):
    config = transformers.GPT2Config(n_embd=8, n_layer=2, n_head=2, n_inner=12, n_positions=16, **SPECIAL)
    model = randomized(transformers.GPT2LMHeadModel(config), 1)
    save(folder, model, plain_rows(), ids)
    state = OrderedDict()
    for name, tensor in model.transformer.state_dict().items():
        state[name] = tensor
        if name.endswith("ln_1.bias"):
            layer = name.removesuffix("ln_1.bias")
            state[f"{layer}attn.bias"] = torch.ones(16, 16, dtype=torch.uint8).tril()[None, None]
            state[f"{layer}attn.masked_bias"] = torch.tensor(-1e4)
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def llama_shards(folder):
    config = transformers.LlamaConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=16, tie_word_embeddings=False, **SPECIAL,
    )
    model = randomized(transformers.LlamaForCausalLM(config), 2)
    # The logits are those of the rounded weights, computed in f32.
    model = model.to(torch.bfloat16).float()
    save(folder, model, plain_rows(), ids)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    for layer in range(2):
        state[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    state["v_head.summary.weight"] = torch.ones(1, 8)
    state["v_head.summary.bias"] = torch.ones(1)
    names = sorted(state)
    parts = [names[: len(names) // 2], names[len(names) // 2 :]]
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    for number, part in enumerate(parts, 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: state[name] for name in part}, folder / file)
        index["weight_map"] |= dict.fromkeys(part, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")


def bert_trained(folder):
    config = transformers.BertConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16,
        num_labels=3, **SPECIAL,
    )
    model = randomized(transformers.BertForSequenceClassification(config), 3)
    save(folder, model, plain_rows(), ids)
    state = OrderedDict()
    for name, tensor in model.state_dict().items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        state[f"module.{name}"] = tensor
    state["module.bert.embeddings.position_ids"] = torch.arange(16)[None]
    state["module.cls.predictions.bias"] = torch.ones(VOCAB)
    state["module.cls.seq_relationship.weight"] = torch.ones(2, 8)
    saved = {"epoch": 3, "best": 0.25, "done": True, "name": "a run", "history": [1.0, 0.5], "state_dict": state}
    torch.save(saved, folder / "pytorch_model.bin")


def t5_tied(folder):
    config = transformers.T5Config(
        d_model=8, d_kv=4, d_ff=12, num_layers=2, num_heads=2, vocab_size=VOCAB, relative_attention_num_buckets=8,
        decoder_start_token_id=0, eos_token_id=2, pad_token_id=0,
    )
    model = randomized(transformers.T5ForConditionalGeneration(config), 4)
    rows = [{"input_ids": row, "decoder_input_ids": [0, *row[:3]]} for row in ROWS]
    save(folder, model, rows, ids)
    state = dict(model.state_dict())
    tied = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"]
    assert len({state[name].data_ptr() for name in tied}) == 1, "the four names share a storage"
    for name, tensor in state.items():
        if name.endswith((".q.weight", ".wi.weight")):
            state[name] = tensor.t().contiguous().t()
            assert not state[name].is_contiguous()
    bias = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    state[bias] = torch.ones(8, 2)
    torch.save(state, folder / "pytorch_model.bin")


def roberta_f16(folder):
    config = transformers.RobertaConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=18,
        num_labels=3, **SPECIAL,
    )
    model = randomized(transformers.RobertaForTokenClassification(config), 5).half().float()
    save(folder, model, plain_rows(), ids)
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    state["roberta.pooler.dense.weight"] = torch.ones(8, 8).half()
    state["roberta.pooler.dense.bias"] = torch.ones(8).half()
    flat = torch.cat([torch.zeros(1).half(), *[tensor.flatten() for tensor in state.values()]])
    at, views = 1, {}
    for name, tensor in state.items():
        views[name] = flat[at : at + tensor.numel()].view(tensor.shape)
        at += tensor.numel()
    torch.save(views, folder / "pytorch_model.bin")


SENTENCES = [
    "The river rose in the night.", "The old house by the river.", "A house stands by the old bridge.", "Where is the old cat?",
    "Das Haus ist alt, die Katze auch.", "Die Katze ist alt, das Haus nicht.",
]  # fmt: skip
NEW_TOKENS = 10


def write_pieces(path, size, **settings):
    """A SentencePiece model of a few sentences; its number of pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=size, normalization_rule_name="identity", num_threads=1,
        hard_vocab_limit=False, minloglevel=2, **settings,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    return len(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()))


def write_texts(folder, model, tokenizer, texts):
    """Rows of ids for the texts, and what follows them."""
    made = []
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            new = model.generate(torch.tensor([ids]), max_new_tokens=NEW_TOKENS, do_sample=False)[0].tolist()
        if model.config.is_encoder_decoder:
            row, new, output = {"source": text}, new[1:], tokenizer.decode(new, skip_special_tokens=True)
        else:
            whole, said = (tokenizer.decode(row, skip_special_tokens=True) for row in (new, ids))
            assert whole.startswith(said), f"{whole!r} for {said!r}"
            row, new, output = {"text": text}, new[len(ids) :], whole[len(said) :]
        made.append({**row, "ids": ids, "new": new, "continued": output})
        print(f"{folder.name}: {made[-1]}")
    write_jsonl(folder / "texts.jsonl", made)


def t5_texts(folder):
    size = write_pieces(folder / "spiece.model", 56, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    config = transformers.T5Config(
        d_model=8, d_kv=4, d_ff=12, num_layers=1, num_heads=2, vocab_size=160, relative_attention_num_buckets=8,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0,
    )
    model = transformers.T5ForConditionalGeneration(config)
    # transformers 5 ties the head whatever the config says; T5 1.1 has a separate one.
    model.lm_head.weight = torch.nn.Parameter(torch.zeros(config.vocab_size, config.d_model))
    model = randomized(model, 119)
    with torch.no_grad():
        # Rather words than the hundred <extra_id_N>, which a text does not show.
        model.lm_head.weight[size:] *= 0.3
    model = model.half().float()
    (folder / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["Where is the old house?", "The <extra_id_0> rose in <extra_id_1>.", "zwölf Katzen"]
    rows = [{"input_ids": tokenizer(text)["input_ids"], "decoder_input_ids": [0, 5, 9]} for text in texts]
    save(folder, model, rows, ids)
    write_texts(folder, model, tokenizer, texts)
    torch.save(dict(model.half().state_dict()), folder / "pytorch_model.bin")


def llama_texts(folder):
    write_pieces(folder / "tokenizer.model", 310, model_type="bpe", byte_fallback=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    config = transformers.LlamaConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, vocab_size=312,
        max_position_embeddings=64, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    )
    model = randomized(transformers.LlamaForCausalLM(config), 21).half().float()
    (folder / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    save(folder, model, [{"input_ids": tokenizer("the cat é")["input_ids"]}], ids)
    write_texts(folder, model, tokenizer, ["Where is the old house?", "zwölf Katzen"])
    torch.save(model.half().state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


MODELS = {
    "gpt2-old": gpt2_old,
    "llama-shards": llama_shards,
    "bert-trained": bert_trained,
    "t5-tied": t5_tied,
    "roberta-f16": roberta_f16,
    "t5-texts": t5_texts,
    "llama-texts": llama_texts,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=VECTORS / "base_models")
    out = parser.parse_args().out
    quiet()
    for name, make in MODELS.items():
        make(fresh(out / name))


if __name__ == "__main__":
    main()
