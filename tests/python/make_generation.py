"""Makes vectors/generation: what transformers and PEFT generate greedily.

    python make_generation.py [--out ../vectors/generation] [--logits ../vectors/logits] [--shared ../../../shared]

- stories260k.jsonl: 24 prompts for the trained model of that name, 40 new tokens at most;
- gpt2.jsonl, llama.jsonl: the tiny random models of make_logits.py, 30 new tokens at most;
- gpt2-prompt.jsonl, gpt2-prefix.jsonl, gpt2-prefix-mlp.jsonl and the same for llama: with the adapters of vectors/logits.
A row is {"input_ids", "output_ids", "max_new_tokens"}; output_ids are the new tokens only, ending with the
end-of-text token of the config (2; gpt2: 35) where it was reached. Each row was generated alone, unpadded.

Every row is compared with a separate loop that calls forward on the whole sequence, without a cache, and takes the
largest logit. A row where the two largest logits ever come closer than 0.002 is left out (an assertion checks how many remain),
so that rounding cannot change an answer.

Beams, penalties and encoder-decoders: make_search.py.

Committed results: torch 2.15.0, transformers 5.23.0, peft 0.21.2, tokenizers 0.23.3.
"""

import argparse
from pathlib import Path

import torch
from common import SHARED, VECTORS, generator, load_adapter, load_base, quiet, random_ids, row_logits, write_jsonl

MARGIN = 0.002

TEXTS = [
    "",
    "Once upon a time",
    "Once upon a time, there was a little boy named Tim.",
    "Lily and Ben are friends.",
    "One day, a girl named Lucy went to the park with her mom.",
    "The cat was very sad because",
    "Tom had a big red ball. He liked to",
    '"Can I play with you?" asked the bird.',
    "There was a tiny fish who lived in the sea. The fish wanted",
    "Mom said, \"Don't touch the hot stove!\" But",
    "Sara saw a butterfly",
    "The sun was shining and the birds were singing. Max and his dog went for a walk. They found a",
    "It was a cold night.",
    "They lived happily ever after.",
    "The end.",
    "Jack",
    "A big bear came out of the forest and said hello to the little rabbit. The rabbit was not",
    "She was so happy that she hugged her dad and said, \"Thank you",
]
SINGLE = [0, 3, 13, 261, 292, 300, 331, 383, 403, 511, 410, 450]


def by_hand(model, ids, limit, eos):
    """Greedy decoding without a cache; the new ids and the smallest distance between the two largest logits."""
    new, margin = [], float("inf")
    while len(new) < limit:
        logits = row_logits(model, {"input_ids": ids + new})[-1]
        top = logits.topk(2).values
        margin = min(margin, (top[0] - top[1]).item())
        new.append(logits.argmax().item())
        if new[-1] == eos:
            break
    return new, margin


def generate(model, ids, limit):
    """The row, or None where two logits come too close to each other."""
    input_ids, eos = torch.tensor([ids]), model.config.eos_token_id
    with torch.no_grad():
        out = model.generate(
            input_ids=input_ids, attention_mask=torch.ones_like(input_ids), do_sample=False, num_beams=1,
            max_new_tokens=limit, eos_token_id=eos, pad_token_id=0,
        )[0].tolist()  # fmt: skip
    assert out[: len(ids)] == ids
    new = out[len(ids) :]
    expected, margin = by_hand(model, ids, limit, eos)
    if margin < MARGIN:
        print(f"    left out: two logits within {margin:.5f} for {ids[:8]}...")
        return None
    assert new == expected, f"generate and forward disagree: {new} {expected}"
    return {"input_ids": ids, "output_ids": new, "max_new_tokens": limit}


def write(path, model, prompts, limit, count):
    rows = [r for r in (generate(model, ids, limit) for ids in prompts) if r][:count]
    assert len(rows) == count, f"{path.name}: {len(rows)} rows, {count} wanted"
    write_jsonl(path, rows)
    ended = sum(r["output_ids"][-1] == model.config.eos_token_id for r in rows)
    distinct = sum(len(set(r["output_ids"])) for r in rows) / len(rows)
    print(f"{path.name}: {len(rows)} rows, {ended} reach the end-of-text token, {distinct:.1f} distinct ids per row")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "generation")
    parser.add_argument("--logits", type=Path, default=VECTORS / "logits")
    parser.add_argument("--shared", type=Path, default=SHARED)
    args = parser.parse_args()
    quiet()
    args.out.mkdir(parents=True, exist_ok=True)

    from tokenizers import Tokenizer

    stories = args.shared / "models" / "stories260k"
    tokenizer = Tokenizer.from_file(str(stories / "tokenizer.json"))
    prompts = [tokenizer.encode(t).ids for t in TEXTS] + [[i] for i in SINGLE]
    write(args.out / "stories260k.jsonl", load_base(stories, "CAUSAL_LM"), prompts, 40, 24)

    for seed, name in enumerate(("gpt2", "llama")):
        base = args.logits / name
        gen = generator(2000 + seed)
        size = load_base(base, "CAUSAL_LM").config.vocab_size
        prompts = [random_ids(gen, 3, size, n) for n in (1, 2, 4, 7, 11, 16, 3, 5, 9, 13, 6, 8)]
        write(args.out / f"{name}.jsonl", load_base(base, "CAUSAL_LM"), prompts, 30, 6)
        for kind in ("prompt", "prefix", "prefix-mlp"):
            model = load_adapter(load_base(base, "CAUSAL_LM"), base / kind)
            write(args.out / f"{name}-{kind}.jsonl", model, prompts, 30, 6)


if __name__ == "__main__":
    main()
