"""Makes tests/vectors/shots.json: how likely transformers finds classes behind examples.

    python make_shots.py PEFT_SHARED

The prompt is one text, tokenised with the tokenizer's special tokens: each example as its source, its target and a blank line,
then the source of the row. A class is tokenised alone, without special tokens, and closed by the end token, as `peft` reads
targets. Its log-likelihood is the sum over its tokens, from one forward pass over prompt and class. Two examples stand in front, in
either order.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

SHOTS = [
    {"source": "The dog ran to the park. Mood:", "target": " happy"},
    {"source": "Tom lost his toy and cried. Mood:", "target": " sad"},
]
ROWS = [
    {"source": "Lily got a big cake. Mood:", "target": "happy"},
    {"source": "The bird was sick and all alone. Mood:", "target": "sad"},
    {"source": "Once upon a time there was a boy who could not find his mom. Mood:", "target": "afraid"},
]
LABELS = ["happy", "sad", "afraid"]


@torch.inference_mode()
def log_likelihood(model, prompt, ids):
    logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
    chosen = logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])
    return chosen.double().sum().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    folder = parser.parse_args().shared / "models" / "stories260k"
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = {"labels": ",".join(LABELS), "shots": SHOTS, "rows": ROWS}
    for order, shots in (("in_order", SHOTS), ("turned", SHOTS[::-1])):
        front = "".join(f"{shot['source']}{shot['target']}\n\n" for shot in shots)
        found[order] = []
        for row in ROWS:
            prompt = tokenizer(front + row["source"])["input_ids"]
            classes = {label: tokenizer(label, add_special_tokens=False)["input_ids"] for label in LABELS}
            end = [tokenizer.eos_token_id]
            found[order].append({label: log_likelihood(model, prompt, ids + end) for label, ids in classes.items()})
    path = Path(__file__).parent.parent / "vectors" / "shots.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
