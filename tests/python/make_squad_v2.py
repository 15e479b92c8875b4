"""Writes tests/vectors/metrics/squad_v2.json: questions that may have no answer.

    python tests/python/make_squad_v2.py

"scores": sets of answers with what SQuAD 2.0's evaluation gives for them, by a separate implementation of its published
definition. Scores are fractions, not percentages. "model": questions for the tiny model in tests/vectors/logits/bert-qa
with a tokenizer; windows as tokenizers cuts them, logits and losses of transformers, answers as transformers'
`run_qa` chooses them with `version_2_with_negative`. Windows are shorter than its 20 best starts and ends, so that
these leave nothing out. Needs transformers and torch. The seed is fixed: the file is reproducible.

What one would not expect: the scores of no answer are compared by the smallest over all windows, those of an answer by
the largest, and both by raw logits, which windows do not share a scale of.
"""

import json
import random
import re
import string
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertForQuestionAnswering

ROOT = Path(__file__).parents[1] / "vectors"
rng = random.Random(20261128)


# SQuAD 2.0's evaluation.


def words_of(text):
    letters = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(?:a|an|the)\b", " ", letters).split()


def compare(prediction, answers):
    """Exact match and F1 of a prediction, the best over the answers that normalisation leaves something of."""
    wanted = [words_of(answer) for answer in answers if words_of(answer)] or [[]]
    found = words_of(prediction)

    def f1(words):
        if not words or not found:
            return float(words == found)
        shared = sum((Counter(words) & Counter(found)).values())
        precision, recall = shared / len(found), shared / len(words)
        return 2 * precision * recall / (precision + recall) if shared else 0.0

    return float(found in wanted), max(f1(words) for words in wanted)


def evaluate(questions, threshold):
    """questions: (prediction, answers, score of no answer minus that of the prediction)."""
    raw = [compare(prediction, answers) for prediction, answers, _ in questions]
    given = [
        (2 * (float(not answers),) if diff > threshold else scores)
        for (_, answers, diff), scores in zip(questions, raw)
    ]
    result = {}
    for prefix, belongs in [("", lambda a: True), ("HasAns_", bool), ("NoAns_", lambda a: not a)]:
        chosen = [scores for (_, answers, _), scores in zip(questions, given) if belongs(answers)]
        if chosen:
            result[prefix + "exact"] = sum(exact for exact, _ in chosen) / len(chosen)
            result[prefix + "f1"] = sum(f1 for _, f1 in chosen) / len(chosen)
            result[prefix + "total"] = len(chosen)
    for at, name in enumerate(["exact", "f1"]):
        score = best = sum(not answers for _, answers, _ in questions)
        limit = 0.0
        for which in sorted(range(len(questions)), key=lambda q: questions[q][2]):
            prediction, answers, diff = questions[which]
            score += raw[which][at] if answers else (-1 if prediction else 0)
            if score > best:
                best, limit = score, diff
        result[f"best_{name}"] = best / len(questions)
        result[f"best_{name}_thresh"] = limit
    return result


def texts(longest):
    return " ".join(rng.choice(["the", "a", "cat", "Cat", "mat.", "sat", "on"]) for _ in range(rng.randint(0, longest)))


def scored():
    questions = []
    for _ in range(rng.randint(1, 12)):
        answers = [] if rng.random() < 0.4 else [texts(3) for _ in range(rng.randint(1, 3))]
        prediction = rng.choice(answers) if answers and rng.random() < 0.4 else texts(3)
        questions.append((prediction, answers, rng.randint(-40, 40) / 8 if rng.random() < 0.9 else 0.0))
    threshold = rng.choice([0.0, -1.0, 1.5, 10.0])
    return {"questions": questions, "threshold": threshold, "scores": evaluate(questions, threshold)}


# A model.

MAX_LENGTH, STRIDE, LONGEST = 20, 4, 5
WORDS = "mia lives in a red house the is small town near sea who built where does live blue cat sat on mat".split()


def tokenizer():
    vocabulary = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, "."])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return made


def question():
    words = [rng.choice(WORDS) for _ in range(rng.randint(6, 40))]
    context = " ".join(words).capitalize() + "."
    answers = []
    if rng.random() < 0.6:
        first = rng.randrange(len(words))
        last = min(first + rng.randint(1, 3), len(words))
        start = len(" ".join(words[:first])) + (first > 0)
        answers = [{"text": context[start : start + len(" ".join(words[first:last]))], "answer_start": start}]
    return {"question": " ".join(rng.choice(WORDS) for _ in range(4)), "context": context, "answers": answers}


def answer(model, plain, row):
    """The answer of `run_qa` and its difference to none, with the loss of each window."""
    cut = Tokenizer.from_str(plain.to_str())
    cut.enable_truncation(MAX_LENGTH, stride=STRIDE, strategy="only_second")
    whole = cut.encode(row["question"], row["context"])
    nulls, spans, losses = [], [], []
    for window in [whole, *whole.overflowing]:
        with torch.no_grad():
            found = model(
                input_ids=torch.tensor([window.ids]), token_type_ids=torch.tensor([window.type_ids])
            )
        start, end = found.start_logits[0].double(), found.end_logits[0].double()
        context = [at for at, sequence in enumerate(window.sequence_ids) if sequence == 1]
        target = (0, 0)
        for given in row["answers"][:1]:
            first, last = given["answer_start"], given["answer_start"] + len(given["text"])
            if window.offsets[context[0]][0] <= first and window.offsets[context[-1]][1] >= last:
                inside = [at for at in context if window.offsets[at][0] < last and first < window.offsets[at][1]]
                target = (inside[0], inside[-1])
        loss = -(start.log_softmax(0)[target[0]] + end.log_softmax(0)[target[1]]) / 2
        losses.append(loss.item())
        nulls.append((start[0] + end[0]).item())
        spans += [
            ((start[a] + end[b]).item(), window.offsets[a][0], window.offsets[b][1])
            for a in context
            for b in context
            if a <= b < a + LONGEST
        ]
    # A place may be in two windows.
    spans.sort(reverse=True)
    best = spans[0]
    second = next(span for span in spans if span[1:] != best[1:])
    assert best[0] - second[0] > 1e-4, "too close for another order of sums"
    return row["context"][best[1] : best[2]], best[1], min(nulls) - best[0], losses


def of_model():
    model = BertForQuestionAnswering.from_pretrained(ROOT / "logits" / "bert-qa", dtype=torch.float32).eval()
    plain = tokenizer()
    rows, found = [], []
    while len(rows) < 24:
        row = question()
        try:
            text, start, _, _ = answer(model, plain, row)
            if row["answers"] and rng.random() < 0.5:  # right for once
                row["answers"] = [{"text": text, "answer_start": start}]
            found.append(answer(model, plain, row))
        except AssertionError:
            continue
        rows.append(row)
    diffs = sorted(diff for _, _, diff, _ in found)
    threshold = (diffs[11] + diffs[12]) / 2
    assert diffs[12] - diffs[11] > 1e-3
    questions = [
        (text, [given["text"] for given in row["answers"]], diff) for row, (text, _, diff, _) in zip(rows, found)
    ]
    losses = [loss for _, _, _, losses in found for loss in losses]
    return {
        "tokenizer": json.loads(plain.to_str()),
        "max_length": MAX_LENGTH,
        "doc_stride": STRIDE,
        "max_answer_length": LONGEST,
        "threshold": threshold,
        "windows": len(losses),
        "rows": rows,
        "answers": [
            {"answer": "" if diff > threshold else text, "start": None if diff > threshold else start, "diff": diff}
            for text, start, diff, _ in found
        ],
        "scores": {"loss": sum(losses) / len(losses), **evaluate(questions, threshold)},
    }


if __name__ == "__main__":
    made = {"scores": [scored() for _ in range(60)], "model": of_model()}
    path = ROOT / "metrics" / "squad_v2.json"
    path.write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    model = made["model"]
    print(path.stat().st_size, "bytes;", model["windows"], "windows;", model["scores"])
