"""Pretrains the model that `peft demo` adapts, and writes it beside this file.

Needs Python with torch, transformers, tokenizers and safetensors. From the repository's root:

    cargo run --release -p peft-cli -- demo --write-world target/demo-world
    python peft-cli/demo-model/pretrain.py --world target/demo-world --out peft-cli/demo-model

The text comes from peft-cli/src/demo/world.rs. All random numbers are seeded; the weights still differ
in the last bits between versions of torch and kinds of CPU.
"""

import argparse
import itertools
import json
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

PAD, EOS, UNK = 0, 1, 2
SEED = 0
BATCH = 64
MUON_RATE = 0.02
ADAMW_RATE = 3e-3
WARM_UP = 100
# Steps on documents in English before those in all languages: copying is learned first, then translating.
ENGLISH_STEPS = 300
# The answer is a few words of many, and the rest is mostly chance: it counts more.
ANSWER_WEIGHT = 4.0


def write_tokenizer(words, path):
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=words[UNK]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([words[PAD], words[EOS], words[UNK]])
    tokenizer.save(str(path))
    return tokenizer


def batches(documents, stage, steps, rng):
    """`steps` shuffled batches of documents of similar length from those that `stage` keeps."""
    documents = [d for d in documents if stage(d)]
    pool = min(16, len(documents) // BATCH) * BATCH
    while True:
        rng.shuffle(documents)
        for start in range(0, len(documents) - pool + 1, pool):
            chunk = sorted(documents[start : start + pool], key=len)
            groups = [chunk[i : i + BATCH] for i in range(0, pool, BATCH)]
            rng.shuffle(groups)
            for group in groups:
                if steps == 0:
                    return
                steps -= 1
                yield group


def collate(documents, stop):
    """Ids, targets and the targets' weights, `[B, T]` each."""
    width = max(map(len, documents))
    ids = torch.tensor([d + [PAD] * (width - len(d)) for d in documents])
    inputs, targets = ids[:, :-1], ids[:, 1:]
    after = (inputs == stop).cumsum(1) > 0
    weights = torch.where(after, ANSWER_WEIGHT, 1.0) * (targets != PAD)
    return inputs, targets, weights


def schedule(step, steps):
    """Warm-up, a plateau, and a linear fall to zero over the last half."""
    return min((step + 1) / WARM_UP, 1.0, 2.0 * (1.0 - step / steps))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, required=True, help="folder that `peft demo --write-world` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--ff", type=int, default=192)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    rng = random.Random(SEED)

    args.out.mkdir(parents=True, exist_ok=True)
    words = (args.world / "vocabulary.txt").read_text(encoding="utf-8").split()
    tokenizer = write_tokenizer(words, args.out / "tokenizer.json")
    ids_of = {word: i for i, word in enumerate(words)}
    with open(args.world / "pretraining.txt", encoding="utf-8") as lines:
        documents = [[ids_of[word] for word in line.split()] + [EOS] for line in lines]
    assert tokenizer.encode(words[10]).ids == [10]

    config = LlamaConfig(
        vocab_size=len(words), hidden_size=args.hidden, intermediate_size=args.ff, num_hidden_layers=args.layers,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=128, rms_norm_eps=1e-5,
        tie_word_embeddings=True, pad_token_id=PAD, bos_token_id=None, eos_token_id=EOS, initializer_range=0.05,
    )
    model = LlamaForCausalLM(config)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(documents)} documents")
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() < 2 or "embed" in name]
    optimizers = [
        torch.optim.Muon(matrices, lr=MUON_RATE, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=ADAMW_RATE, betas=(0.9, 0.98), weight_decay=0.01),
    ]
    schedulers = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: schedule(step, args.steps)) for o in optimizers]

    model.train()
    start, hits, asked = time.time(), 0, 0
    english = ids_of["english"]
    stages = itertools.chain(
        batches(documents, lambda d: english in d, ENGLISH_STEPS, rng),
        batches(documents, lambda d: True, args.steps - ENGLISH_STEPS, rng),
    )
    for step, group in enumerate(stages):
        inputs, targets, weights = collate(group, ids_of["."])
        logits = model(input_ids=inputs).logits  # causal: padding on the right is seen by no counted position
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        loss = (loss * weights).sum() / weights.sum()
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in [*optimizers, *schedulers]:
            part.step()
        answer = weights == ANSWER_WEIGHT
        hits += (answer & (logits.argmax(-1) == targets)).sum().item()
        asked += answer.sum().item()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}, answer words {hits / asked:.3f}, {time.time() - start:.0f} s", flush=True)
            hits = asked = 0

    model.save_pretrained(args.out, safe_serialization=True)
    (args.out / "model.safetensors").chmod(0o644)
    (args.out / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((args.out / "config.json").read_text())
    config.pop("transformers_version", None)
    (args.out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
