"""Makes vectors/files: small files as other programs write them, for tests to read and to damage.

    python make_files.py [--out ../vectors/files]

- torch/*.bin, *.pt: torch.save of tensors in several types and layouts, and of other objects;
  old-format.bin holds an address, so it differs each time it is made;
- torch/expected.safetensors: the values of the good ones, in f32, under the names `file:tensor`;
- npy/*.npy: numpy.save of matrices;
- p-tuning/, seq2seq/: adapters of PEFT: P-tuning v1, and prompt tuning of an encoder-decoder with rows for two submodules;
- gpt2/, llama/, bert/: models of a few kilobytes, and tokenizer-*.json, which the fuzz test damages.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2, numpy 2.
"""

import argparse
import base64
import json
from collections import OrderedDict
from pathlib import Path

import numpy
import peft
import torch
import transformers
from common import VECTORS, fresh, generator, quiet
from safetensors.torch import save_file

SIZES = {"vocab_size": 7, "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}


def torch_files(out):
    def random(*shape):
        return torch.randn(*shape, generator=generator(sum(shape)))

    prompt = random(4, 6)
    head = {"prompt_embeddings": prompt, "base_model.score.weight": random(3, 6).to(torch.bfloat16)}
    good = {
        "dict.bin": {"prompt_embeddings": prompt},
        "parameter.bin": OrderedDict(prompt_embeddings=torch.nn.Parameter(prompt)),
        "state.bin": torch.nn.Linear(5, 2).state_dict(),
        "head.bin": head,
        "f16.bin": {"prompt_embeddings": prompt.half()},
        "f64.bin": {"prompt_embeddings": prompt.double()},
        "bare.pt": prompt,
        "bare-parameter.pt": torch.nn.Parameter(prompt),
        "turned.pt": random(6, 4).t(),
        "part.pt": random(9, 6)[2:6],
        "tied.bin": {"a": prompt, "b": prompt[1:3]},
    }
    bad = {
        "not-floats.bin": {"prompt_embeddings": torch.arange(6)},
        "no-tensor.bin": {"prompt_embeddings": prompt, "epoch": 3},
        "nested.bin": {"state": {"prompt_embeddings": prompt}},
        "list.bin": [prompt],
        "numpy.bin": {"prompt_embeddings": prompt.numpy()},
        "module.bin": torch.nn.Linear(2, 2),
        "sparse.bin": {"prompt_embeddings": prompt.to_sparse()},
    }
    folder = fresh(out / "torch")
    for name, value in {**good, **bad}.items():
        torch.save(value, folder / name)
    torch.save(good["dict.bin"], folder / "old-format.bin", _use_new_zipfile_serialization=False)
    torch.save(good["dict.bin"], folder / "protocol-4.bin", pickle_protocol=4)
    expected = {}
    for name, value in good.items():
        named = value if isinstance(value, dict) else {"": value}
        for key, tensor in named.items():
            expected[f"{name}:{key}"] = tensor.detach().float().contiguous().clone()
    save_file(expected, folder / "expected.safetensors")


def npy_files(out):
    folder = fresh(out / "npy")
    numbers = numpy.random.default_rng(3).standard_normal((3, 5))
    numpy.save(folder / "f4.npy", numbers.astype("<f4"))
    numpy.save(folder / "f2.npy", numbers.astype("<f2"))
    numpy.save(folder / "f8.npy", numbers)
    numpy.save(folder / "fortran.npy", numpy.asfortranarray(numbers.astype("<f4")))
    numpy.save(folder / "vector.npy", numbers[0].astype("<f4"))
    numpy.save(folder / "integers.npy", numbers.astype("<i4"))
    with open(folder / "version-2.npy", "wb") as file:
        numpy.lib.format.write_array(file, numbers.astype("<f4"), version=(2, 0))
    with open(folder / "version-3.npy", "wb") as file:
        numpy.lib.format.write_array(file, numbers.astype("<f4"), version=(3, 0))


def small(kind, **more):
    sizes = {
        "gpt2": {"n_embd": 4, "n_inner": 6, "n_positions": 8, "n_layer": 1, "n_head": 2},
        "llama": {
            "hidden_size": 4, "intermediate_size": 6, "max_position_embeddings": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 1,
        },
        "bert": {
            "hidden_size": 4, "intermediate_size": 6, "max_position_embeddings": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_labels": 3,
        },
    }[kind]
    return transformers.AutoConfig.for_model(kind, **sizes, **SIZES, **more)


def models(out):
    classes = {
        "gpt2": transformers.GPT2LMHeadModel,
        "llama": transformers.LlamaForCausalLM,
        "bert": transformers.BertForSequenceClassification,
    }
    for kind, kind_class in classes.items():
        torch.manual_seed(5)
        folder = fresh(out / kind)
        kind_class(small(kind)).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)


def adapters(out):
    torch.manual_seed(6)
    cases = {
        "p-tuning": (
            transformers.GPT2LMHeadModel(small("gpt2")),
            peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, encoder_hidden_size=5),
        ),
        "seq2seq": (
            transformers.T5ForConditionalGeneration(
                transformers.T5Config(
                    d_model=4, d_kv=2, d_ff=6, num_layers=1, num_heads=2, vocab_size=7, decoder_start_token_id=0
                )
            ),
            peft.PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3),
        ),
    }
    for name, (base, config) in cases.items():
        folder = fresh(out / name)
        peft.get_peft_model(base, config).eval().save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)


def tokenizers(out):
    special = [
        {"id": id, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for id, text in ((0, "[CLS]"), (1, "[SEP]"))
    ]
    common = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
              "pre_tokenizer": None, "post_processor": None, "decoder": None}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}

    def vocab(*words):
        return {word: id for id, word in enumerate(words)}

    cases = {
        "words": {
            "added_tokens": special, "pre_tokenizer": {"type": "Whitespace"},
            "truncation": {"direction": "Right", "max_length": 6, "strategy": "LongestFirst", "stride": 1},
            "padding": {"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": 4, "pad_id": 2,
                        "pad_type_id": 0, "pad_token": "?"},
            "post_processor": {"type": "TemplateProcessing",
                               "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                               "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [0], "tokens": ["[CLS]"]}}},
            "model": {"type": "WordLevel", "unk_token": "?", "vocab": vocab("[CLS]", "[SEP]", "?", "the", "sea", "is")},
        },
        "pieces": {
            "added_tokens": special,
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9,
                      "vocab": vocab("[CLS]", "[SEP]", "?", "the", "s", "##ea")},
        },
        "bytes": {
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": " ?[a-z]+|\\d{1,3}"}, "behavior": "Isolated", "invert": False}, byte_level]},
            "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "vocab": vocab("t", "h", "e", "th", "the"), "merges": [["t", "h"], ["th", "e"]]},
        },
        "unigram": {
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Replace", "pattern": {"String": "''"}, "content": "\""}, {"type": "Prepend", "prepend": "\u2581"}]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
                      "vocab": [["<unk>", 0.0], ["\u2581the", -1.5], ["\u2581", -2.0], ["sea", -3.0]]},
        },
    }
    # A trie of 256 units without entries, behind its size, and a text.
    table = base64.b64encode((1024).to_bytes(4, "little") + bytes(1024) + b"a").decode()
    charsmap = {"type": "Precompiled", "precompiled_charsmap": table}
    cases["precompiled"] = {**cases["unigram"], "normalizer": {"type": "Sequence", "normalizers": [charsmap]}}
    for name, case in cases.items():
        text = json.dumps({**common, **case}, ensure_ascii=False)
        (out / f"tokenizer-{name}.json").write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "files")
    args = parser.parse_args()
    quiet()
    torch.manual_seed(4)
    out = fresh(args.out)
    torch_files(out)
    npy_files(out)
    models(out)
    adapters(out)
    tokenizers(out)
    print(f"{sum(1 for path in out.rglob('*') if path.is_file())} files in {out}")


if __name__ == "__main__":
    main()
