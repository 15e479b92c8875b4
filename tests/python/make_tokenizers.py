"""Writes tests/vectors/tokenizers: folders of tokenizers, and the ids that AutoTokenizer gives with them.

    python tests/python/make_tokenizers.py

lines.json: 500 lines in ten scripts. One vocabulary of each sort, trained on them: words.txt (WordPiece), bytes.json
(byte-level pairs), pairs.model and pairs.json (SentencePiece's pairs with byte fallback), t5.* and xlmr.* (Unigram).
kinds.json: what a folder of each kind holds. folders.json: folders, each a kind with other settings in its files, and
digests of what transformers makes of the lines: ids (two characters a line), ids and token types of pairs, ids of lines
given word by word, and decoded texts. What transformers 5.23 does that one would not expect:

- Most classes build their parts anew and take only vocabulary, merges, post-processor and normaliser table of
  tokenizer.json: `add_prefix_space`, `do_lower_case` and others of tokenizer_config.json win. SmolLM's GPT2Tokenizer
  loses its splitting of digits, BERT's its own `max_input_chars_per_word`.
- `add_bos_token` and `add_eos_token` count only without a tokenizer.json, and are false by default also for Llama; for
  CodeLlama the first is true by default, whatever the post-processor of its tokenizer.json says.
- Ids of added tokens are given in the order of the files' ids, but are not these ids where they leave a gap.
- special_tokens_map.json and added_tokens.json count only where `added_tokens_decoder` is missing.
- Classes written in Python (byt5, phobert, bertweet) give added tokens the files' own ids, pass over a tokenizer.json but for
  its added tokens, and skip unknown tokens with the special ones; ByT5's sets no second `</s>` behind one.

Needs sentencepiece and protobuf beside transformers.
"""

import itertools
import json
import os
import shutil
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import sentencepiece  # noqa: E402
import tokenizers  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402
from tokenizer_lines import lines  # noqa: E402
from tokenizers import models, normalizers, pre_tokenizers, trainers  # noqa: E402
from transformers import AutoTokenizer, logging  # noqa: E402

OUT = Path(__file__).resolve().parent.parent / "vectors" / "tokenizers"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def token(content, **properties):
    flags = dict(lstrip=False, normalized=False, rstrip=False, single_word=False, special=True)
    return dict(flags, content=content, **{}) | properties


def typed(content, **properties):
    return {"__type": "AddedToken"} | token(content, **properties)


# Vocabularies


def make_words(texts):
    """The most frequent words, and every character: the trainer for WordPiece is not deterministic."""
    normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    lowered = [unicodedata.normalize("NFD", text.lower()) for text in texts]
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    words = Counter(word for text in texts + lowered for word, _ in split(normalizer.normalize_str(text)))
    ends = Counter("##" + word[-2:] for word in words if len(word) > 3)
    often = lambda counts, number: [piece for piece, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:number]]
    characters = sorted({c for word in words for c in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + characters[::-1] + ["##" + c for c in characters[7:]]
    pieces += often(words, 150) + often(ends, 60)
    (OUT / "words.txt").write_text("".join(f"{piece}\n" for piece in dict.fromkeys(pieces)), encoding="utf-8")


def train_bytes(texts):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=specials,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    write(OUT / "bytes.json", {"vocab": model["vocab"], "merges": model["merges"]})


def make_words_of_pairs(texts):
    """Pairs whose words end in `</w>`: the trainer's order of characters is not deterministic."""
    normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    counts = Counter(word for text in texts for word, _ in split(normalizer.normalize_str(text)))
    divided = {word: [*word[:-1], word[-1] + "</w>"] for word in counts}
    characters = sorted({piece for pieces in divided.values() for piece in pieces})
    merges = []
    for _ in range(400):
        pairs = Counter()
        for word, pieces in divided.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += counts[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for pieces in divided.values():
            at = 0
            while at + 1 < len(pieces):
                if (pieces[at], pieces[at + 1]) == best:
                    pieces[at : at + 2] = ["".join(best)]
                at += 1
    vocab = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *characters, *map("".join, merges)])
    write(OUT / "herbert.json", {"vocab": {piece: id for id, piece in enumerate(vocab)}, "merges": merges})


def make_dictionary(texts):
    """phobert.txt and phobert.codes: the same pairs as fastBPE writes them, and the pieces that they leave of the texts,
    which are fewer than those that the pairs make."""
    merges = [tuple(pair) for pair in read(OUT / "herbert.json")["merges"]]
    pieces = Counter()
    for word in (word for text in texts for word in text.split()):
        symbols = [*word[:-1], word[-1] + "</w>"]
        for pair in merges:
            at = 0
            while at + 1 < len(symbols):
                if (symbols[at], symbols[at + 1]) == pair:
                    symbols[at : at + 2] = ["".join(pair)]
                at += 1
        pieces.update(symbol.removesuffix("</w>") if symbol.endswith("</w>") else symbol + "@@" for symbol in symbols)
    often = sorted(((count, piece) for piece, count in pieces.items() if not piece.startswith("<")), key=lambda c: (-c[0], c[1]))
    (OUT / "phobert.txt").write_text("".join(f"{piece} {count}\n" for count, piece in often if count > 1), encoding="utf-8")
    codes = "".join(f"{left} {right} {1000 - rank}\n" for rank, (left, right) in enumerate(merges))
    (OUT / "phobert.codes").write_text(codes, encoding="utf-8")


def train_sentencepiece(name, texts, **settings):
    clean = [text.replace("\0", " ").replace("\n", " ").replace("\r", " ") for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / name
        rules = Path(folder) / "rules.tsv"
        # Full width to half, a ligature, composed accents: a small table in place of the large usual one.
        pairs = [(chr(c), chr(c - 0xFEE0)) for c in range(0xFF21, 0xFF3B)]
        pairs += [("ﬁ", "fi"), ("½", "1/2"), ("①", "1"), ("a\u0308", "ä"), ("e\u0301", "é"), ("\u00a0", " "), ("\u200b", " ")]
        line = lambda pair: "\t".join(" ".join(f"{ord(c):X}" for c in side) for side in pair)
        rules.write_text("".join(line(pair) + "\n" for pair in pairs), encoding="utf-8")
        if settings.pop("table"):
            settings["normalization_rule_tsv"] = str(rules)
        else:
            settings["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(clean),
            model_prefix=str(prefix),
            character_coverage=0.99,
            num_threads=1,
            minloglevel=2,
            hard_vocab_limit=False,
            **settings,
        )
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(Path(f"{prefix}.model").read_bytes())
        # Paths of this run.
        model.trainer_spec.ClearField("model_prefix")
        model.normalizer_spec.ClearField("normalization_rule_tsv")
        (OUT / f"{name}.model").write_bytes(model.SerializeToString())


# Kinds of folders


def kinds():
    sentence = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return {
        "bert": dict(
            config={"model_type": "bert"},
            tokenizer_config={"tokenizer_class": "BertTokenizer", "do_lower_case": True},
            files={"vocab.txt": "words.txt"},
        ),
        "herbert": dict(
            config={"model_type": "bert"},
            tokenizer_config={"tokenizer_class": "HerbertTokenizer"},
            files={"vocab.json": "herbert.json#vocab", "merges.txt": "herbert.json#merges"},
        ),
        "roberta": dict(
            config={"model_type": "roberta"},
            tokenizer_config={"tokenizer_class": "RobertaTokenizer"},
            files={"vocab.json": "bytes.json#vocab", "merges.txt": "bytes.json#merges"},
        ),
        "gpt2": dict(
            config={"model_type": "gpt2"},
            tokenizer_config={"tokenizer_class": "GPT2Tokenizer"},
            files={"vocab.json": "bytes.json#vocab", "merges.txt": "bytes.json#merges"},
        ),
        "qwen2": dict(
            config={"model_type": "qwen2"},
            tokenizer_config={"tokenizer_class": "Qwen2Tokenizer"},
            files={"vocab.json": "bytes.json#vocab", "merges.txt": "bytes.json#merges"},
        ),
        "neox": dict(
            config={"model_type": "llama"},
            tokenizer_config={"tokenizer_class": "GPTNeoXTokenizer"},
            files={"vocab.json": "bytes.json#vocab", "merges.txt": "bytes.json#merges"},
        ),
        "llama": dict(
            config={"model_type": "llama"},
            tokenizer_config={"tokenizer_class": "LlamaTokenizer"} | sentence,
            files={"tokenizer.model": "pairs.model"},
        ),
        "mistral": dict(
            config={"model_type": "mistral"},
            tokenizer_config={"tokenizer_class": "LlamaTokenizer"} | sentence,
            files={"tokenizer.model": "pairs.model"},
        ),
        "t5": dict(
            config={"model_type": "t5"},
            tokenizer_config={"tokenizer_class": "T5Tokenizer"},
            files={"spiece.model": "t5.model"},
        ),
        "xlmr": dict(
            config={"model_type": "xlm-roberta"},
            tokenizer_config={"tokenizer_class": "XLMRobertaTokenizer"},
            files={"sentencepiece.bpe.model": "xlmr.model"},
        ),
        "camembert": dict(
            config={"model_type": "camembert"},
            tokenizer_config={"tokenizer_class": "CamembertTokenizer"},
            files={"sentencepiece.bpe.model": "xlmr.model"},
        ),
    }


def backend_json():
    """What Llama 3's folders hold: nothing is built anew."""
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)
    split = dict(type="Split", pattern={"Regex": pattern}, behavior="Isolated", invert=False)
    return dict(
        version="1.0",
        truncation=None,
        padding=None,
        added_tokens=[dict(token("<s>"), id=0), dict(token("</s>"), id=2), dict(token("<|endoftext|>"), id=5)],
        normalizer=None,
        pre_tokenizer=dict(type="Sequence", pretokenizers=[split, level]),
        post_processor=dict(
            type="TemplateProcessing",
            single=[dict(SpecialToken=dict(id="<s>", type_id=0)), dict(Sequence=dict(id="A", type_id=0))],
            pair=[
                dict(SpecialToken=dict(id="<s>", type_id=0)),
                dict(Sequence=dict(id="A", type_id=0)),
                dict(SpecialToken=dict(id="<s>", type_id=1)),
                dict(Sequence=dict(id="B", type_id=1)),
            ],
            special_tokens={"<s>": dict(id="<s>", ids=[0], tokens=["<s>"])},
        ),
        decoder=level,
        model=dict(
            type="BPE",
            dropout=None,
            unk_token=None,
            continuing_subword_prefix=None,
            end_of_word_suffix=None,
            fuse_unk=False,
            byte_fallback=False,
            ignore_merges=True,
            vocab="bytes.json#vocab",
            merges="bytes.json#merges",
        ),
    )


def with_json(all_kinds):
    """Adds the tokenizer.json of each kind, whose vocabulary stands in a file of its own."""
    for name, kind in all_kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            lay_out(Path(folder), dict(kind=name, json=False), all_kinds)
            whole = json.loads(AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str())
        model = whole["model"]
        if name in ("roberta", "gpt2", "qwen2", "neox"):
            model.update(vocab="bytes.json#vocab", merges="bytes.json#merges")
        elif name == "herbert":
            model.update(vocab="herbert.json#vocab", merges="herbert.json#merges")
        elif name == "bert":
            model["vocab"] = "words.txt"
        elif name in ("llama", "mistral"):
            write(OUT / "pairs.json", {"vocab": model["vocab"], "merges": model["merges"]})
            model.update(vocab="pairs.json#vocab", merges="pairs.json#merges")
        else:
            write(OUT / f"{name}.json", {"vocab": model["vocab"]})
            model["vocab"] = f"{name}.json#vocab"
        kind["json"] = whole
    for name, model_type in (("llama3", "llama"), ("backend", "bert")):
        all_kinds[name] = dict(
            config={"model_type": model_type},
            tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"},
            files={},
            json=backend_json(),
        )
    whole = all_kinds["llama"]["json"]
    all_kinds["codellama"] = dict(
        # Less than the id of the token in whose place the model would write.
        config={"model_type": "llama", "vocab_size": len(part(whole["model"]["vocab"]))},
        tokenizer_config={"tokenizer_class": "CodeLlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        files={"tokenizer.model": "pairs.model"},
        json=json.loads(json.dumps(whole)),
    )
    gemma = json.loads(json.dumps(all_kinds["mistral"]["json"]))
    all_kinds["gemma"] = dict(
        config={"model_type": "gemma3_text"},
        tokenizer_config={"tokenizer_class": "GemmaTokenizer", "bos_token": "<s>", "eos_token": "</s>"},
        files={},
        json=gemma,
    )


def in_python():
    """The kinds of classes that transformers has in Python only."""
    dictionary = {"vocab.txt": "phobert.txt", "bpe.codes": "phobert.codes"}
    roberta = {"model_type": "roberta"}
    return {
        "byt5": dict(config={"model_type": "t5"}, tokenizer_config={"tokenizer_class": "ByT5Tokenizer"}, files={}),
        "phobert": dict(config=roberta, tokenizer_config={"tokenizer_class": "PhobertTokenizer"}, files=dictionary),
        "bertweet": dict(config=roberta, tokenizer_config={"tokenizer_class": "BertweetTokenizer"}, files=dictionary),
    }


def part(reference):
    """The value that a reference such as `bytes.json#vocab` stands for."""
    if reference == "words.txt":
        pieces = (OUT / reference).read_text(encoding="utf-8").splitlines()
        return {piece: id for id, piece in enumerate(pieces)}
    file, key = reference.split("#")
    return read(OUT / file)[key]


def lay_out(folder, description, all_kinds):
    """Writes the files of a folder."""
    kind = all_kinds[description["kind"]]
    config = kind["config"] | description.get("config", {})
    write(folder / "config.json", config)
    settings = kind["tokenizer_config"] | description.get("tokenizer_config", {})
    settings = {key: value for key, value in settings.items() if value != "absent"}
    if settings:
        write(folder / "tokenizer_config.json", settings)
    if description.get("json", True):
        whole = dict(kind["json"], **description.get("tokenizer_json", {}))
        model = {key: part(v) if key in ("vocab", "merges") else v for key, v in whole["model"].items()}
        write(folder / "tokenizer.json", dict(whole, model=model))
    else:
        for name, reference in kind["files"].items():
            if name == "vocab.json":
                write(folder / name, part(reference))
            elif name == "merges.txt":
                text = "".join(f"{left} {right}\n" for left, right in part(reference))
                (folder / name).write_text("#version: 0.2\n" + text, encoding="utf-8")
            else:
                shutil.copy(OUT / reference, folder / name)
    for name in ("special_tokens_map.json", "added_tokens.json"):
        if name in description:
            write(folder / name, description[name])


# Settings


def sizes(all_kinds):
    return {name: len(part(kind["json"]["model"]["vocab"])) for name, kind in all_kinds.items() if "json" in kind}


def overrides(size, kind):
    """Every override, as what it changes of a folder."""
    listed = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in kind["json"]["added_tokens"]}
    after = max([size - 1] + [int(id) for id in listed]) + 1
    decoder = listed | {
        str(after): token("<|im_start|>"),
        str(after + 1): token("<|im_end|>"),
        str(after + 2): token("Newtoken", special=False, normalized=True),
        str(after + 3): token("ÉTOKEN", special=False, normalized=True, lstrip=True, rstrip=True),
        str(after + 7): token("<|user|>", single_word=True),
    }
    return {
        "added-decoder": {"tokenizer_config": {"added_tokens_decoder": decoder}},
        "added-json": {"added_tokens.json": {"<|im_end|>": after + 1, "<|im_start|>": after, "Newtoken": after + 2}},
        "map": {
            "special_tokens_map.json": {
                "eos_token": token("<|eot|>", lstrip=True),
                "pad_token": "<|im_end|>",
                "image_token": "<image>",
                "additional_special_tokens": ["<|user|>", "Newtoken"],
            }
        },
        "lower": {"tokenizer_config": {"do_lower_case": False}},
        "accents": {"tokenizer_config": {"strip_accents": True}},
        "chinese": {"tokenizer_config": {"tokenize_chinese_chars": False}},
        "additional": {"tokenizer_config": {"additional_special_tokens": ["<|user|>", "<|im_start|>", "<|im_end|>"]}},
        "extra": {
            "tokenizer_config": {"extra_special_tokens": [typed("Newtoken", lstrip=True, rstrip=True), "<|im_end|>"]}
        },
        "named": {
            "tokenizer_config": {
                "eos_token": typed("<|eot|>", rstrip=True),
                "bos_token": "<|im_start|>",
                "pad_token": None if kind["config"]["model_type"] == "llama" else "<pad>",
                "mask_token": "<mask>",
                "image_token": "<image>",
            }
        },
        "space": {"tokenizer_config": {"add_prefix_space": kind["config"]["model_type"] not in ("llama", "xlm-roberta")}},
        "no-post": {"tokenizer_json": {"post_processor": None}},
    }


OTHERS = {
    "extra-names": {"tokenizer_config": {"extra_special_tokens": {"audio_token": "<|user|>", "image_token": "<image>"}}},
    "no-class": {"tokenizer_config": {"tokenizer_class": "absent"}},
    "class-in-config": {"tokenizer_config": {"tokenizer_class": "absent"}, "config": {"tokenizer_class": "GPT2TokenizerFast"}},
    "fast": {"tokenizer_config": {"tokenizer_class": "PreTrainedTokenizerFast"}},
    "distilled": {"tokenizer_config": {"tokenizer_class": "DistilBertTokenizer"}},
    "input-names": {"tokenizer_config": {"model_input_names": ["input_ids", "attention_mask"]}},
    "types": {"tokenizer_config": {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}},
    "unknown-class": {"tokenizer_config": {"tokenizer_class": "OwnTokenizer"}},
    "llama-class": {"tokenizer_config": {"tokenizer_class": "LlamaTokenizerFast"}},
    "gpt2-class": {"tokenizer_config": {"tokenizer_class": "GPT2Tokenizer"}},
    "begin-end": {"tokenizer_config": {"add_bos_token": True, "add_eos_token": True}},
    "legacy": {"tokenizer_config": {"legacy": True}},
    "clean": {"tokenizer_config": {"clean_up_tokenization_spaces": True}},
    "split-special": {"tokenizer_config": {"split_special_tokens": True}},
    "extra-ids": {"tokenizer_config": {"extra_ids": 7}},
    "no-config": {"tokenizer_config": {key: "absent" for key in ("tokenizer_class", "do_lower_case", "bos_token", "eos_token", "unk_token")}},
    "padding": {
        "tokenizer_json": {
            "padding": dict(strategy="BatchLongest", direction="Right", pad_to_multiple_of=None, pad_id=0, pad_type_id=0, pad_token="<|im_end|>")
        }
    },
}
ALONE = {
    "extra-names": ["bert", "llama3", "t5"],
    "no-class": ["bert", "roberta", "llama", "mistral", "t5", "qwen2"],
    "class-in-config": ["llama3", "gpt2"],
    "fast": ["bert", "roberta", "xlmr", "camembert"],
    "distilled": ["bert"],
    "input-names": ["bert"],
    "types": ["llama3", "gpt2"],
    "unknown-class": ["llama", "bert"],
    "llama-class": ["llama3", "qwen2", "mistral"],
    "gpt2-class": ["llama3"],
    "begin-end": ["llama", "llama3"],
    "legacy": ["llama"],
    "clean": ["bert", "xlmr", "gpt2", "t5"],
    "split-special": ["llama3", "t5"],
    "extra-ids": ["t5"],
    "no-config": ["bert", "llama"],
    "padding": ["llama3", "llama", "bert"],
}
WITHOUT_JSON = {
    "": ["bert", "roberta", "gpt2", "qwen2", "neox", "llama", "mistral", "t5", "xlmr", "camembert"],
    "begin-end": ["llama", "gpt2", "neox", "mistral"],
    "legacy": ["llama"],
    "extra-ids": ["t5"],
    "additional": ["llama", "t5", "bert"],
    "added-json": ["roberta", "xlmr", "camembert"],
    "named": ["qwen2", "mistral"],
    "space": ["llama", "xlmr", "camembert", "gpt2"],
    "lower": ["bert"],
    "no-config": ["bert", "llama"],
}


CODE_LLAMA = {
    "": {},
    "as on the Hub": {
        "tokenizer_config": {
            "bos_token": typed("<s>", normalized=True), "eos_token": typed("</s>", normalized=True),
            "unk_token": typed("<unk>", normalized=True), "add_bos_token": True, "add_eos_token": False, "legacy": None,
            "clean_up_tokenization_spaces": False, "sp_model_kwargs": {}, "suffix_first": False,
            "prefix_token": "▁<PRE>", "middle_token": "▁<MID>", "suffix_token": "▁<SUF>", "eot_token": "▁<EOT>",
            "fill_token": "<FILL_ME>", "additional_special_tokens": ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"],
        }
    },
    "tokens": {
        "tokenizer_config": {
            "image_token": "<image>", "suffix_token": typed("<|user|>", lstrip=True), "prefix_token": "<|im_start|>",
            "eot_token": None, "pad_token": "<|im_end|>", "additional_special_tokens": ["Newtoken"],
        }
    },
    "begin-end": {"tokenizer_config": {"add_bos_token": False, "add_eos_token": True}},
    "null": {"tokenizer_config": {"add_bos_token": None, "add_prefix_space": None, "fill_token": None}},
    "space": {"tokenizer_config": {"add_prefix_space": False}},
    "legacy": {"tokenizer_config": {"legacy": True}},
    "no-bos": {"tokenizer_config": {"bos_token": None}},
    "no-config": {"tokenizer_config": {key: "absent" for key in ("bos_token", "eos_token", "unk_token")}},
    "normalized": {
        # What its class does not take of the file.
        "tokenizer_json": {"normalizer": {"type": "Lowercase"}, "pre_tokenizer": None, "decoder": None}
    },
    "padding": OTHERS["padding"],
}


def code_llama(all_kinds):
    size, kind = sizes(all_kinds)["codellama"], all_kinds["codellama"]
    changes = overrides(size, kind)
    with_json = CODE_LLAMA | {name: changes[name] for name in ("added-decoder", "added-json", "map", "extra", "no-post")}
    for name, change in with_json.items():
        yield dict(change, name=f"codellama {name}".strip(), kind="codellama")
    for name in ("", "as on the Hub", "tokens", "begin-end", "null", "space", "added-decoder"):
        yield dict(with_json[name], name=f"codellama vocabulary {name}".strip(), kind="codellama", json=False)


def herbert(all_kinds):
    size, kind = sizes(all_kinds)["herbert"], all_kinds["herbert"]
    changes = overrides(size, kind) | OTHERS | {"": {}}
    for name in ("", "added-decoder", "added-json", "map", "extra", "named", "lower", "no-post", "input-names", "types", "begin-end", "padding"):
        yield dict(changes[name], name=f"herbert {name}".strip(), kind="herbert")
    for name in ("", "added-json", "named", "begin-end"):
        yield dict(changes[name], name=f"herbert vocabulary {name}".strip(), kind="herbert", json=False)


BYT5_SENTINELS = [f"<extra_id_{i}>" for i in range(125)]
BYT5 = {
    "": {},
    "as on the Hub": {
        "tokenizer_config": {
            "eos_token": typed("</s>", normalized=True), "pad_token": typed("<pad>", normalized=True),
            "unk_token": typed("<unk>", normalized=True), "additional_special_tokens": BYT5_SENTINELS, "extra_ids": 125,
        },
        "special_tokens_map.json": {
            "eos_token": token("</s>", normalized=True), "pad_token": token("<pad>", normalized=True),
            "unk_token": token("<unk>", normalized=True), "additional_special_tokens": BYT5_SENTINELS,
        },
    },
    "listed": {
        "tokenizer_config": {
            "added_tokens_decoder": {
                "0": token("<pad>"), "1": token("</s>", rstrip=True), "2": token("<unk>"),
                **{str(259 + i): token(sentinel) for i, sentinel in enumerate(BYT5_SENTINELS)},
            },
            "additional_special_tokens": BYT5_SENTINELS, "clean_up_tokenization_spaces": True,
        }
    },
    "class in config": {"tokenizer_config": {"tokenizer_class": "absent"}, "config": {"tokenizer_class": "ByT5Tokenizer"}},
    "no sentinels": {"tokenizer_config": {"extra_ids": 0, "extra_special_tokens": ["<|user|>"]}},
    "seven": {"tokenizer_config": {"extra_ids": 7}},
    "map": {"special_tokens_map.json": {"additional_special_tokens": BYT5_SENTINELS, "mask_token": "<mask>"}},
    "gap": {"added_tokens.json": {"<|im_end|>": 259, "Newtoken": 400, "<|im_start|>": 500}},
    "named": {"tokenizer_config": {"image_token": "<image>", "mask_token": "<mask>", "eos_token": typed("<|eot|>", lstrip=True)}},
}  # fmt: skip
DICTIONARY = {
    "": {},
    "mask": {"tokenizer_config": {"mask_token": typed("<mask>", lstrip=True)}},
    "class in config": {"tokenizer_config": {"tokenizer_class": "absent"}, "config": {"tokenizer_class": "CLASS"}},
    "added-json": {"added_tokens.json": {"<mask>": 2000, "Newtoken": 2002, "<|user|>": 2001}},
    "listed": {
        "tokenizer_config": {
            "added_tokens_decoder": {
                "0": token("<s>"), "1": token("<pad>"), "2": token("</s>"), "3": token("<unk>"),
                "1999": token("<mask>", lstrip=True), "2001": token("Newtoken", special=False, normalized=True),
            },
            "clean_up_tokenization_spaces": True,
        }
    },
    "named": {
        "tokenizer_config": {
            "image_token": "<image>", "extra_special_tokens": ["<|user|>", "<|im_end|>"], "sep_token": "<|eot|>", "cls_token": "[CLS]"
        }
    },
    "map": {"special_tokens_map.json": {"unk_token": "[UNK]", "pad_token": "<|im_end|>", "mask_token": token("[MASK]", lstrip=True)}},
}  # fmt: skip


def of_python():
    for name, change in BYT5.items():
        yield dict(change, name=f"byt5 {name}".strip(), kind="byt5", json=False)
    for kind, own in (("phobert", "PhobertTokenizer"), ("bertweet", "BertweetTokenizer")):
        for name, change in DICTIONARY.items():
            change = json.loads(json.dumps(change).replace("CLASS", own))
            yield dict(change, name=f"{kind} {name}".strip(), kind=kind, json=False)


def merged(first, second):
    both = dict(first)
    for key, value in second.items():
        both[key] = both.get(key, {}) | value
    return both


def descriptions(all_kinds):
    size = sizes(all_kinds)
    order = ["bert", "roberta", "llama", "llama3", "t5", "xlmr", "qwen2", "gpt2", "camembert", "gemma", "neox"]
    rounds = itertools.cycle(order)
    named = list(overrides(0, all_kinds["bert"]))
    for names in [(name,) for name in named] + list(itertools.combinations(named, 2)):
        kind = next(rounds)
        # Settings of BERT alone are ignored elsewhere, which one folder of each shows.
        if sum(name in ("lower", "accents", "chinese") for name in names) == 2 or names[0] in ("lower", "accents", "chinese"):
            kind = "bert"
        changes = overrides(size[kind], all_kinds[kind])
        description = {}
        for name in names:
            description = merged(description, changes[name])
        yield dict(description, name=f"{kind} {' '.join(names)}", kind=kind)
    for name, of in ALONE.items():
        for kind in of:
            yield dict(OTHERS[name], name=f"{kind} {name}", kind=kind)
    yield dict(name="backend", kind="backend")
    for name, of in WITHOUT_JSON.items():
        for kind in of:
            changes = overrides(size[kind], all_kinds[kind]) | OTHERS | {"": {}}
            yield dict(changes[name], name=f"{kind} vocabulary {name}".strip(), kind=kind, json=False)
    yield from code_llama(all_kinds)
    yield from herbert(all_kinds)
    yield from of_python()


# Digests


def fnv(numbers):
    value = 0xCBF29CE484222325
    for number in numbers:
        for byte in number.to_bytes(4, "little"):
            value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def short(numbers):
    value = fnv(numbers)
    value ^= value >> 32
    value ^= value >> 12
    return ALPHABET[value % 64] + ALPHABET[value // 64 % 64]


def digests(folder, texts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text)["input_ids"] for text in texts]
    pairs, words, decoded = [], [], []
    for first, second in zip(texts[::10], texts[5::10]):
        if tokenizer.is_fast:
            encoding = tokenizer.backend_tokenizer.encode(first, second)
            both, types = encoding.ids, encoding.type_ids
        else:
            encoding = tokenizer(first, second)
            both, types = encoding["input_ids"], encoding.get("token_type_ids")
        # What a model gets: other classes than BERT's give no token types, and all tokens count as the first text's.
        gives_types = "token_type_ids" in tokenizer.model_input_names
        pairs += both + (types if gives_types else [0] * len(both))
    for text in texts[::10]:
        if text.split():
            words += tokenizer(text.split(), is_split_into_words=True)["input_ids"]
    for one in ids:
        decoded += [ord(c) for c in tokenizer.decode(one, skip_special_tokens=True)] + [0]
    # The variables of chat templates.
    named = sorted(tokenizer.special_tokens_map.items())
    special = [ord(c) for name, token in named for c in f"{name}={token}\n"]
    return dict(
        tokenizer_class=type(tokenizer).__name__,
        ids="".join(map(short, ids)),
        pairs=f"{fnv(pairs):016x}",
        words=f"{fnv(words):016x}",
        decoded=f"{fnv(decoded):016x}",
        special=f"{fnv(special):016x}",
    )


def main():
    logging.set_verbosity_error()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    texts = lines()
    write(OUT / "lines.json", texts)
    make_words(texts)
    train_bytes(texts)
    # The characters of the others are unknown.
    make_words_of_pairs(texts[::4])
    make_dictionary(texts[::4])
    train_sentencepiece("pairs", texts, table=False, model_type="bpe", vocab_size=700, byte_fallback=True)
    unigram = dict(table=True, model_type="unigram")
    train_sentencepiece("t5", texts, vocab_size=500, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **unigram)
    symbols = dict(user_defined_symbols=["Newtoken"])
    train_sentencepiece("xlmr", texts, vocab_size=500, **unigram, **symbols)
    all_kinds = kinds()
    with_json(all_kinds)
    all_kinds |= in_python()
    write(OUT / "kinds.json", all_kinds)
    folders = []
    for description in descriptions(all_kinds):
        with tempfile.TemporaryDirectory() as folder:
            lay_out(Path(folder), description, all_kinds)
            try:
                description["right"] = digests(folder, texts)
            except Exception as error:  # noqa: BLE001
                print(f"{description['name']}: {type(error).__name__}: {error}"[:300])
                continue
        folders.append(description)
    text = ",\n".join(json.dumps(folder, ensure_ascii=False, separators=(",", ":")) for folder in folders)
    (OUT / "folders.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")
    print(f"{len(folders)} folders")


if __name__ == "__main__":
    main()
