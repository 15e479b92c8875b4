"""Writes tests/vectors/gguf/tokenizers: GGUF files without tensors, with small tokenizers of every kind that is read, and
ids.json, the tokens of some texts by transformers.

    python3 tests/python/make_gguf_tokenizers.py

The peer is AutoTokenizer.from_pretrained(gguf_file=...), but for
- bert, which it does not read: BertTokenizer with the same vocabulary;
- t5: it passes over the file's normaliser table, so the SentencePiece model itself is the peer;
- smollm: it does not know that digits stand alone, so texts with spaces in front of digits are left out;
- qwen2: it composes no characters, as the original tokenizer does, so the texts are composed;
- deepseek-coder: it does not know its words, so the pre-tokenizers of the model's tokenizer.json are put in place.

Needs gguf, sentencepiece, tokenizers and transformers.
"""

import json
import tempfile
import unicodedata
from pathlib import Path

import gguf
import sentencepiece
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, BertTokenizer

OUT = Path(__file__).parent.parent / "vectors" / "gguf" / "tokenizers"

TEXTS = [
    "", " ", "the quick brown fox jumps over the lazy dog", "  two  spaces and a tab\t", "lines\n\nand more\r\n",
    "don't they'll I'VE it's", "MiXeD CaSe WORDS", "1 22 333 4444 12,345.67", "a_b-c.d/e\\f http://x.y/z?q=1&r=2",
    "<s>special</s> and <|end|> tokens <think>here</think>", "Der schnelle Fuchs springt über den Hund, façade",
    "Быстрая лиса прыгает через собаку", "敏捷的棕色狐狸跳过懒狗", "素早い茶色の狐", "الثعلب البني", "नमस्ते दुनिया", "Γειά σου",
    "🙂 emoji 👩‍👩‍👧", "de\u0301compose\u0301 ﬁ ①", "\u00a0nbsp\u200bzero", "x" * 40, "the the the", "[CLS] [MASK] brackets",
]  # fmt: skip
CORPUS = [
    text
    for text in TEXTS[2:] * 4
    + ["the dog and the fox are quick and lazy, and it is brown", "over there jumps another fox in 1234 places"] * 6
]
CONTROL, USER_DEFINED, NORMAL, BYTE, UNKNOWN = 3, 4, 1, 6, 2


def write(name: str, model: str, tokens, kinds, **metadata) -> Path:
    path = OUT / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, "t5" if model == "t5" else "bert" if model == "bert" else "llama")
    writer.add_tokenizer_model(model)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    for key, value in metadata.items():
        if key == "cls_token_id":
            writer.add_uint32("tokenizer.ggml.cls_token_id", value)
        else:
            getattr(writer, f"add_{key}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def deepseek_coder():
    """The pre-tokenizers of DeepSeek Coder."""
    splits = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"]
    return pre_tokenizers.Sequence([
        *(pre_tokenizers.Split(Regex(split), "isolated") for split in splits),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def ids_of(path: Path, texts, words=None) -> list:
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    if words is not None:
        tokenizer.backend_tokenizer.pre_tokenizer = words
    return [[text, tokenizer(text)["input_ids"]] for text in texts]


def byte_level() -> tuple[list[str], list[str]]:
    """The tokens and the merges of a small tokenizer of bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    made = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(made["vocab"], key=made["vocab"].get)
    return tokens, [" ".join(merge) for merge in made["merges"]]


def piece_model(kind: str) -> sentencepiece.SentencePieceProcessor:
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        # Pairs fall back to bytes for what they have not seen.
        seen = [line for line in CORPUS if kind == "unigram" or line.isascii()]
        corpus.write_text("\n".join(line.replace("\n", " ") for line in seen))
        ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} if kind == "unigram" else {}
        # A normaliser table of a few lines: the usual one has 240 kB.
        rules = Path(folder) / "rules.tsv"
        rules.write_text("FB01\t66 69\n2460\t31\nA0\t20\n9\t20\n65 301\tE9\n")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{folder}/m", vocab_size=300 if kind == "unigram" else 400, model_type=kind,
            byte_fallback=kind == "bpe", character_coverage=1.0, minloglevel=2,
            **({"normalization_rule_tsv": str(rules)} if kind == "unigram" else {"normalization_rule_name": "identity"}),
            hard_vocab_limit=False,
            remove_extra_whitespaces=kind == "unigram", user_defined_symbols=[] if kind == "unigram" else ["<think>"], **ids,
        )  # fmt: skip
        return sentencepiece.SentencePieceProcessor(model_file=f"{folder}/m.model")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    ids = {}
    tokens, merges = byte_level()
    specials = ["<|begin|>", "<|end|>", "<think>"]
    kinds = [NORMAL] * len(tokens) + [CONTROL, CONTROL, USER_DEFINED]
    begin, end = len(tokens), len(tokens) + 1
    shared = {"token_merges": merges, "bos_token_id": begin, "eos_token_id": end}
    composed = [unicodedata.normalize("NFC", text) for text in TEXTS]
    single = [text for text in TEXTS if not any(a == " " and b.isnumeric() for a, b in zip(text, text[1:]))]
    for name, more, texts in [
        ("gpt-2", {"add_bos_token": False}, TEXTS),
        ("smollm", {"add_bos_token": False}, single),
        ("llama-bpe", {"add_bos_token": True, "add_eos_token": True}, TEXTS),
        ("qwen2", {"add_bos_token": False}, composed),
        ("tekken", {"add_bos_token": True}, TEXTS),
    ]:
        path = write(name, "gpt2", tokens + specials, kinds, tokenizer_pre=name, **shared, **more)
        ids[name] = ids_of(path, texts)
    more = {"tokenizer_pre": "deepseek-coder", "add_bos_token": True}
    path = write("deepseek-coder", "gpt2", tokens + specials, kinds, **shared, **more)
    ids["deepseek-coder"] = ids_of(path, TEXTS, deepseek_coder())
    model = piece_model("bpe")
    pieces = [model.id_to_piece(i) for i in range(model.vocab_size())]
    kind_of = lambda i: (  # noqa: E731
        UNKNOWN if model.is_unknown(i) else CONTROL if model.is_control(i) else BYTE if model.is_byte(i)
        else USER_DEFINED if pieces[i] == "<think>" else NORMAL
    )  # fmt: skip
    path = write(
        "llama", "llama", pieces, [kind_of(i) for i in range(len(pieces))],
        token_scores=[model.get_score(i) for i in range(len(pieces))],
        bos_token_id=1, eos_token_id=2, unk_token_id=0,
    )  # fmt: skip
    ids["llama"] = ids_of(path, TEXTS)
    model = piece_model("unigram")
    pieces = [model.id_to_piece(i) for i in range(model.vocab_size())]
    from sentencepiece import sentencepiece_model_pb2 as proto

    read = proto.ModelProto()
    read.ParseFromString(model.serialized_model_proto())
    charsmap = read.normalizer_spec.precompiled_charsmap
    spare = [f"[PAD{i}]" for i in range(len(pieces), len(pieces) + 4)]
    writer_kinds = [kind_of(i) if pieces[i] != "<think>" else NORMAL for i in range(len(pieces))]
    write(
        "t5", "t5", pieces + spare, writer_kinds + [5] * len(spare),
        token_scores=[model.get_score(i) for i in range(len(pieces))] + [-1000.0] * len(spare),
        eos_token_id=1, unk_token_id=2, pad_token_id=0, precompiled_charsmap=charsmap,
    )  # fmt: skip
    # The table has no line ends, and two divisions of 4444 are equally probable.
    plain = [text for text in TEXTS if not any(part in text for part in ("</s>", "\n", "444"))]
    ids["t5"] = [[text, model.encode(text) + [1]] for text in plain]
    words = sorted({word for text in CORPUS for word in text.lower().split() if word.isascii() and word.isalpha()})
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *words]
    vocabulary = list(dict.fromkeys(vocabulary))
    phantom = [t if t[0] == "[" and t[-1] == "]" else t[2:] if t.startswith("##") and len(t) > 2 else f"▁{t}" for t in vocabulary]
    write(
        "bert", "bert", phantom, [CONTROL] * 5 + [NORMAL] * (len(phantom) - 5), cls_token_id=2, sep_token_id=3,
        unk_token_id=1, pad_token_id=0, mask_token_id=4,
    )  # fmt: skip
    tokenizer = BertTokenizer(vocab={token: i for i, token in enumerate(vocabulary)})
    ids["bert"] = [[text, tokenizer(text)["input_ids"]] for text in TEXTS]
    lines = [f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in ids.items()]
    (OUT / "ids.json").write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
