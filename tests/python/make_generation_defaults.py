"""Makes vectors/generation/defaults: what transformers and PEFT generate where only the model's own files say how.

    python make_generation_defaults.py [--out ../vectors/generation/defaults] [--logits ../vectors/logits] [--only bart]

NAME.jsonl and NAME-ADAPTER.jsonl: gpt2, llama, qwen3, t5 and bart of vectors/logits, with and without adapters. A row is
{"file", "settings", "input_ids", "output_ids"}: the settings were written into generation_config.json or, with "file"
"config.json", into config.json, without generation_config.json; `generate` was given the input and nothing else. A value of null
removes a key. output_ids are the new tokens only, without the token that a decoder starts from.

Every row is compared with a separate search (beam_search.py) that calls forward on the whole sequence, without a cache, and
changes scores by code of its own (`Rules`). A row where two scores that decide something come closer than 0.002 is left out.

What transformers 5.23 does, and PEFT with it:
- max_length and min_length count the input of a decoder-only model, not its virtual tokens; on an encoder-decoder the start token.
- n-grams are counted over the same tokens. encoder_no_repeat_ngram_size looks at the input, a decoder-only model's included;
  PEFT's prompt tuning gives an encoder embeddings, and the setting is then ignored: no row has it.
- begin_suppress_tokens rules out the first new token or, behind a forced one, the second.
- The settings of sampling do nothing without do_sample.
- Decoders start from decoder_start_token_id or bos_token_id of generation_config.json, whatever config.json says.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
import json
import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from beam_search import Search, search
from common import VECTORS, generator, load_adapter, load_base, new_ids, quiet, random_ids, row_logits, write_jsonl
from names import TASKS

MARGIN = 0.002
MODELS = {
    "gpt2": (None, "prompt", "prefix"),
    "llama": (None, "prompt"),
    "qwen3": (None,),
    "t5": (None, "prompt", "prefix"),
    "bart": (None, "prefix"),
}
LENGTHS = (6, 3, 9, 5, 8, 4)
GREEDY = [
    {"max_length": 20},
    {"max_new_tokens": 7, "max_length": 30},
    {"max_new_tokens": 8, "temperature": 0.6, "top_p": 0.9, "top_k": 5, "length_penalty": 2.0, "early_stopping": True},
    {"no_repeat_ngram_size": 1, "max_new_tokens": 12},
    {"no_repeat_ngram_size": 2, "max_new_tokens": 20},
    {"min_length": 14, "max_length": 22},
    {"min_new_tokens": 8, "min_length": 3, "max_new_tokens": 14, "repetition_penalty": 1.2},
    {"encoder_no_repeat_ngram_size": 1, "max_new_tokens": 12},
]
BEAMS = [
    {"num_beams": 3, "no_repeat_ngram_size": 2, "max_length": 24, "early_stopping": True, "length_penalty": 2.0},
    {"num_beams": 2, "no_repeat_ngram_size": 3, "max_new_tokens": 16, "early_stopping": "never", "length_penalty": 0.6},
    {"num_beams": 4, "min_length": 12, "max_length": 20, "repetition_penalty": 1.2},
    {"num_beams": 2, "encoder_no_repeat_ngram_size": 2, "max_new_tokens": 14},
]
CONFIG = [
    {"max_length": 18, "no_repeat_ngram_size": 2, "num_beams": 2, "do_sample": False},
    {"max_length": 16, "repetition_penalty": 1.3},
]

# Of encoder-decoders: what their decoders start from.
STARTS = [
    ("generation_config.json", {"max_new_tokens": 8, "decoder_start_token_id": None, "bos_token_id": 3}),
    ("generation_config.json", {"max_new_tokens": 8, "decoder_start_token_id": 4, "bos_token_id": 3}),
    ("config.json", {"max_length": 9, "decoder_start_token_id": None, "bos_token_id": 5}),
]


@dataclass
class Rules:
    """The settings, and what they do to scores."""

    settings: dict
    source: list
    eos: list

    def get(self, key, default=0):
        return self.settings.get(key) or default

    def longest(self, start):
        return self.get("max_new_tokens") or self.settings["max_length"] - len(start)

    def search(self, start):
        keys = ("num_beams", "length_penalty", "early_stopping", "repetition_penalty")
        given = {k: self.settings[k] for k in keys if k in self.settings}
        return Search(max_new_tokens=self.longest(start), more=self.more, **given)

    def more(self, scores, start, new):
        ids, out = start + new, set()
        for size, within in ((self.get("no_repeat_ngram_size"), ids), (self.get("encoder_no_repeat_ngram_size"), self.source)):
            if size and len(ids) >= size - 1:
                end = ids[len(ids) + 1 - size :]
                out |= {within[i + size - 1] for i in range(len(within) + 1 - size) if within[i : i + size - 1] == end}
        for *first, last in self.get("bad_words_ids", []):
            if ids[len(ids) - len(first) :] == first and not (not first and last in self.eos):
                out.add(last)
        short = len(new) < self.get("min_new_tokens")
        if short or ("min_new_tokens" not in self.settings and len(ids) < self.get("min_length")):
            out |= set(self.eos)
        forced = self.settings.get("forced_bos_token_id")
        if self.settings.get("force_bos_token_to_be_generated"):
            forced = self.settings["bos_token_id"]
        if forced is not None and len(ids) == 1:
            scores[:] = -math.inf
            scores[forced] = 0
            out = set()
        out |= set(self.get("suppress_tokens", []))
        if len(new) == (1 if forced is not None and len(start) == 1 else 0):
            out |= set(self.get("begin_suppress_tokens", []))
        scores[list(out)] = -math.inf


class Generator:
    """A base, or a base with an adapter, whose own files have these settings."""

    def __init__(self, folder, adapter, file, settings):
        with tempfile.TemporaryDirectory() as temporary:
            own = Path(temporary) / folder.name
            own.mkdir()
            for path in folder.iterdir():
                if path.is_file():
                    shutil.copy(path, own)
            special = json.loads((own / "generation_config.json").read_text(encoding="utf-8"))
            content = special
            if file == "config.json":
                (own / "generation_config.json").unlink()
                content = json.loads((own / file).read_text(encoding="utf-8"))
            content.update(settings)
            (own / file).write_text(json.dumps({k: v for k, v in content.items() if v is not None}), encoding="utf-8")
            self.base = load_base(own, TASKS.get(folder.name, "SEQ_2_SEQ_LM"), attn_implementation="eager")
        self.model = load_adapter(self.base, folder / adapter) if adapter else self.base
        self.seq2seq = self.base.config.is_encoder_decoder
        self.eos = self.base.generation_config.eos_token_id
        if isinstance(self.eos, int):
            self.eos = [self.eos]
        self.forced_eos = self.base.generation_config.forced_eos_token_id
        self.start = self.base.generation_config.decoder_start_token_id
        if self.start is None:
            self.start = self.base.generation_config.bos_token_id

    def generate(self, ids):
        return new_ids(self.model, ids, self.start)

    def by_hand(self, ids, settings):
        def step(sofar):
            row = {"input_ids": ids, "decoder_input_ids": sofar} if self.seq2seq else {"input_ids": sofar}
            return row_logits(self.model, row)[-1]

        start = [self.start] if self.seq2seq else ids
        rules = Rules(settings, ids, self.eos)
        return search(step, start, rules.search(start), self.eos, self.forced_eos)

    def row(self, ids, settings):
        """The new ids, or None where two scores come too close to each other."""
        new = self.generate(ids)
        expected, margin = self.by_hand(ids, settings)
        if margin < MARGIN:
            return None
        assert new == expected, f"generate and forward disagree for {ids}, {settings}: {new} {expected}"
        return new


def word_settings(folder, adapter, ids):
    """Settings that rule out what the model would write."""
    plain = Generator(folder, adapter, "generation_config.json", {"max_new_tokens": 12})
    new = plain.generate(ids)
    words = [[new[0]], new[1:3] if len(new) > 2 else [4, 5], [plain.eos[0]], [5, 6, 7]]
    settings = [
        {"bad_words_ids": words, "max_new_tokens": 12},
        {"bad_words_ids": words, "max_new_tokens": 10, "num_beams": 3},
        {"suppress_tokens": new[:2], "begin_suppress_tokens": new[2:4] + plain.eos, "max_new_tokens": 9},
    ]
    if plain.seq2seq:
        settings.append({"forced_bos_token_id": 7, "begin_suppress_tokens": new[:2], "max_new_tokens": 9})
        settings.append({"forced_bos_token_id": 7, "no_repeat_ngram_size": 1, "num_beams": 3, "max_length": 12})
    return settings


def make_file(path, folder, adapter, gen):
    rows, left_out = [], 0
    size = load_base(folder, TASKS.get(folder.name, "SEQ_2_SEQ_LM")).config.vocab_size
    cases = [("generation_config.json", s) for s in GREEDY + BEAMS + word_settings(folder, adapter, random_ids(gen, 4, size, 6))]
    cases += [("config.json", s) for s in CONFIG]
    if folder.name == "bart":
        cases.append(("config.json", {"max_length": 12, "force_bos_token_to_be_generated": True, "bos_token_id": 0}))
    if folder.name in ("bart", "t5"):
        cases += STARTS
    for i, (file, settings) in enumerate(cases):
        if adapter == "prompt" and folder.name == "t5" and "encoder_no_repeat_ngram_size" in settings:
            continue
        model = Generator(folder, adapter, file, settings)
        for attempt in range(30):
            ids = random_ids(gen, 4, size, LENGTHS[(i + attempt) % len(LENGTHS)])
            new = model.row(ids, settings)
            if new is not None:
                rows.append({"file": file, "settings": settings, "input_ids": ids, "output_ids": new})
                break
            left_out += 1
        else:
            print(f"    {path.name}: no row without near ties for {settings}")
    assert len(rows) >= 14, f"{path.name}: {len(rows)} rows"
    write_jsonl(path, rows)
    print(f"{path.name}: {len(rows)} rows, {left_out} left out", flush=True)
    return len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "generation" / "defaults")
    parser.add_argument("--logits", type=Path, default=VECTORS / "logits")
    parser.add_argument("--only", nargs="+", choices=[*MODELS], default=[*MODELS])
    args = parser.parse_args()
    quiet()
    args.out.mkdir(parents=True, exist_ok=True)
    total = 0
    for seed, (name, adapters) in enumerate(MODELS.items()):
        for i, adapter in enumerate(adapters):
            if name in args.only:
                file = f"{name}-{adapter}.jsonl" if adapter else f"{name}.jsonl"
                total += make_file(args.out / file, args.logits / name, adapter, generator(7000 + 10 * seed + i))
    print(f"{total} rows")


if __name__ == "__main__":
    main()
