"""Makes vectors/generation/search and bart-g2p.jsonl: what transformers and PEFT generate, greedily and with beams.

    python make_search.py [--out ../vectors/generation] [--logits ../vectors/logits] [--shared ../../../shared] [--only bart]

- search/NAME.jsonl and search/NAME-ADAPTER.jsonl: gpt2, llama, qwen3, t5, t5v11, bart of vectors/logits with and without
  adapters: PEFT's, and prefixes at three sites. A row is {"input_ids", "output_ids", "max_new_tokens"} and, where they are not
  1, 1.0, false and 1.0, "num_beams", "length_penalty", "early_stopping" (false, true, "never"), "repetition_penalty";
- bart-g2p.jsonl: 60 words each for shared's bart-g2p-us and bart-g2p-gb with 4 beams, 40 new tokens at most:
  {"model", "input_ids", "output_ids", "max_new_tokens", "num_beams"}.
output_ids are the new tokens only: without the input, and for encoder-decoders without decoder_start_token_id; they
end with the end-of-text token where it was reached or forced. Each row was generated alone and unpadded.

beam_search.py describes how transformers counts, scores, forces tokens and stops; in short: max_new_tokens includes the
end-of-text token, and BART's forced_eos_token_id (2; from generation_config.json, or config.json where that is missing)
replaces whatever would have been the last of max_new_tokens tokens.

Every row is compared with a separate search (beam_search.py) that calls forward on the whole sequence, without a cache. A
row where two scores that decide something (tokens, running or finished hypotheses, when to stop) come closer than 0.002 is
left out, so that rounding cannot change an answer.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""

import argparse
import json
from contextlib import nullcontext
from pathlib import Path

from beam_search import Search, search
from common import (
    SHARED,
    VECTORS,
    generator,
    load_adapter,
    load_base,
    new_ids,
    quiet,
    random_ids,
    read_jsonl,
    row_logits,
    write_jsonl,
)
from make_sites import SITES, attention_modules, site_shape
from names import TASKS
from prefixed_attention import prefixed
from safetensors.torch import load_file

MARGIN = 0.002
MODELS = {
    "gpt2": ("prompt", "prefix"),
    "llama": ("prompt", "prefix"),
    "qwen3": ("prompt", "prefix-mlp"),
    "t5": ("prompt", "prefix", "sites"),
    "t5v11": ("prompt", "prefix", "sites"),
    "bart": ("prompt", "prefix", "sites"),
}
SETTINGS = [
    {},
    {"repetition_penalty": 1.3},
    {"num_beams": 2},
    {"num_beams": 2, "length_penalty": 0.6, "early_stopping": "never", "repetition_penalty": 1.3},
    {"num_beams": 3, "length_penalty": 0.6, "early_stopping": True},
    {"num_beams": 3, "length_penalty": 2.0},
    {"num_beams": 3, "early_stopping": "never"},
    {"num_beams": 4, "early_stopping": True},
    {"num_beams": 4, "length_penalty": 2.0, "early_stopping": "never"},
    {"num_beams": 4, "length_penalty": 0.6, "repetition_penalty": 1.3},
]
LENGTHS = (5, 2, 9, 1, 12, 7, 3, 16, 4, 11, 6, 8)
LIMITS = (16, 9, 20, 12)


class Generator:
    """A base, or a base with an adapter, that generates and that gives the logits after some ids."""

    def __init__(self, folder, adapter=None):
        name = Path(folder).name
        self.task = TASKS.get(name, "SEQ_2_SEQ_LM")
        self.base = load_base(folder, self.task, attn_implementation="eager")
        self.model, self.patch = self.base, nullcontext
        if adapter == "sites":
            self.patch = self.sites(folder / adapter)
        elif adapter:
            self.model = load_adapter(self.base, folder / adapter)
        self.seq2seq = self.base.config.is_encoder_decoder
        settings = self.base.generation_config
        self.eos, self.forced_eos = settings.eos_token_id, settings.forced_eos_token_id
        if isinstance(self.eos, int):
            self.eos = [self.eos]
        self.start = settings.decoder_start_token_id

    def sites(self, folder):
        saved, config, prefixes = load_file(str(folder / "adapter_model.safetensors")), self.base.config, {}
        for site in SITES:
            values = saved[f"prompt_embeddings.{site}"].view(site_shape(config, site))
            prefixes.update({m: values[:, i] for i, m in enumerate(attention_modules(self.base, site))})
        return lambda: prefixed(self.base, prefixes)

    def generate(self, ids, settings):
        kwargs = {} if self.base.generation_config.pad_token_id is not None else {"pad_token_id": 0}
        keys = ("max_new_tokens", "num_beams", "length_penalty", "early_stopping", "repetition_penalty")
        kwargs.update({key: getattr(settings, key) for key in keys})
        with self.patch():
            return new_ids(self.model, ids, self.start, do_sample=False, **kwargs)

    def by_hand(self, ids, settings):
        def step(sofar):
            row = {"input_ids": ids, "decoder_input_ids": sofar} if self.seq2seq else {"input_ids": sofar}
            return row_logits(self.model, row)[-1]

        with self.patch():
            return search(step, [self.start] if self.seq2seq else ids, settings, self.eos, self.forced_eos)

    def row(self, ids, settings):
        """The new ids, or None where two scores come too close to each other."""
        new = self.generate(ids, settings)
        expected, margin = self.by_hand(ids, settings)
        if margin < MARGIN:
            return None
        assert new == expected, f"generate and forward disagree for {ids}, {settings}: {new} {expected}"
        return new


def make_file(path, generator_, gen, size):
    rows, left_out = [], 0
    for i, setting in enumerate(SETTINGS):
        for attempt in range(40):
            ids = random_ids(gen, 4, size, LENGTHS[(i + attempt) % len(LENGTHS)])
            limit = LIMITS[(i + attempt) % len(LIMITS)]
            new = generator_.row(ids, Search(max_new_tokens=limit, **setting))
            if new is not None:
                rows.append({"input_ids": ids, "output_ids": new, "max_new_tokens": limit, **setting})
                break
            left_out += 1
        else:
            print(f"    {path.name}: no row without near ties for {setting}")
    assert len(rows) >= len(SETTINGS) - 1, f"{path.name}: {len(rows)} rows"
    write_jsonl(path, rows)
    ended = sum(r["output_ids"][-1] in generator_.eos and len(r["output_ids"]) < r["max_new_tokens"] for r in rows)
    print(f"{path.name}: {len(rows)} rows, {ended} end before their limit, {left_out} left out", flush=True)
    return len(rows)


def make_g2p(shared, path):
    """Words of the g2p-gb task; an input is <s> letters </s>."""
    rows = []
    words = [r["source"] for r in read_jsonl(shared / "data" / "g2p-gb" / "test.jsonl")]
    for name in ("bart-g2p-us", "bart-g2p-gb"):
        folder, kept = shared / "models" / name, 0
        vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        model = Generator(folder)
        for word in words:
            ids = [1, *(vocab["graphemes"].get(letter, 3) for letter in word), 2]
            new = model.row(ids, Search(max_new_tokens=40, num_beams=4))
            if new is not None:
                rows.append({"model": name, "input_ids": ids, "output_ids": new, "max_new_tokens": 40, "num_beams": 4})
                kept += 1
            if kept == 60:
                break
        assert kept == 60, f"{name}: {kept} words"
    write_jsonl(path, rows)
    print(f"{path.name}: {len(rows)} rows")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "generation")
    parser.add_argument("--logits", type=Path, default=VECTORS / "logits")
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--only", nargs="+", choices=[*MODELS, "bart-g2p"], default=[*MODELS, "bart-g2p"])
    args = parser.parse_args()
    quiet()
    (args.out / "search").mkdir(parents=True, exist_ok=True)
    total = 0
    for seed, (name, adapters) in enumerate(MODELS.items()):
        for i, adapter in enumerate((None, *adapters)):
            if name in args.only:
                model = Generator(args.logits / name, adapter)
                file = f"{name}-{adapter}.jsonl" if adapter else f"{name}.jsonl"
                gen = generator(6000 + 10 * seed + i)
                total += make_file(args.out / "search" / file, model, gen, model.base.config.vocab_size)
    print(f"{total} rows")
    if "bart-g2p" in args.only:
        make_g2p(args.shared, args.out / "bart-g2p.jsonl")


if __name__ == "__main__":
    main()
