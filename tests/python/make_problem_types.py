"""Writes tests/vectors/metrics/problem_types.json: what `problem_type` regression and multi-label must give.

    python tests/python/make_problem_types.py

"models": of the tiny models in tests/vectors/logits, transformers' loss on some rows with each problem_type, and the
head after one step of torch's SGD with learning rate 1, which holds the gradient. "regression" and "multi_label": scores
of scipy and scikit-learn. Needs transformers, torch, scipy and scikit-learn. The seeds are fixed.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, mean_squared_error
from transformers import AutoConfig, AutoModelForSequenceClassification

warnings.simplefilter("ignore")  # classes that never occur are the point here
ROOT = Path(__file__).parent.parent / "vectors"
ROWS = [[5, 6, 7, 8], [9, 10], [11, 12, 13, 14, 15, 16], [3, 20, 21]]
SCORES = [[2.5], [-1.0], [0.25], [4.0]]
SEVERAL = [[2.5, 0.0, 1.0], [-1.0, 0.5, 0.0], [0.25, 0.25, -3.0], [4.0, 1.0, 1.0]]
CLASSES = [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.25]]


def step(name, problem_type, targets):
    """Loss and new head of one step on all rows, one at a time so that padding plays no part."""
    config = AutoConfig.from_pretrained(ROOT / "logits" / name)
    model = AutoModelForSequenceClassification.from_pretrained(ROOT / "logits" / name, dtype=torch.float32).eval()
    head = model.classifier if hasattr(model, "classifier") else model.score
    outputs = len(targets[0])
    if outputs == 1:
        head.weight = torch.nn.Parameter(head.weight[:1].clone())
        if head.bias is not None:
            head.bias = torch.nn.Parameter(head.bias[:1].clone())
        head.out_features = 1
    model.config.problem_type = problem_type
    model.num_labels = model.config.num_labels = outputs
    losses = []
    for ids, target in zip(ROWS, targets):
        ids = torch.tensor([ids])
        losses.append(model(input_ids=ids, labels=torch.tensor([target])).loss)
    loss = torch.stack(losses).mean()
    loss.backward()
    new = {"weight": head.weight - head.weight.grad}
    if head.bias is not None:
        new["bias"] = head.bias - head.bias.grad
    return {
        "model": name,
        "problem_type": problem_type,
        "rows": ROWS,
        "targets": targets,
        "loss": loss.item(),
        "head": {key: value.detach().flatten().tolist() for key, value in new.items()},
    }


def regression(seed, rows, outputs, ties):
    rng = np.random.default_rng(seed)
    found, right = rng.normal(size=(2, rows, outputs)).astype(np.float32)
    right += found * 0.5
    if ties:
        found, right = found.round(), right.round()
    columns = range(outputs)
    return {
        "predictions": found.tolist(),
        "references": right.tolist(),
        "pearson": float(np.mean([pearsonr(found[:, c].astype(float), right[:, c].astype(float))[0] for c in columns])),
        "spearman": float(np.mean([spearmanr(found[:, c], right[:, c])[0] for c in columns])),
        "mse": float(mean_squared_error(right.astype(float), found.astype(float))),
    }


def multi_label(seed, rows, classes, rate):
    rng = np.random.default_rng(seed)
    found, right = rng.random((2, rows, classes)) < rate
    found |= right & (rng.random((rows, classes)) < 0.5)
    return {
        "predictions": found.tolist(),
        "references": right.tolist(),
        "f1_micro": float(f1_score(right, found, average="micro")),
        "f1_macro": float(f1_score(right, found, average="macro")),
    }




def wide(targets, outputs):
    return [row + row[: outputs - len(row)] for row in targets]


kinds = [("regression", SCORES, False), ("regression", SEVERAL, True), ("multi_label_classification", CLASSES, True)]
vectors = {
    "models": [step(name, kind, wide(targets, outputs) if several else targets)
               for name, outputs in (("bert", 3), ("gpt2-cls", 4)) for kind, targets, several in kinds],
    "regression": [regression(seed, *case) for seed, case in
                   enumerate([(2, 1, False), (7, 1, False), (30, 1, True), (12, 3, False), (40, 2, True)])],
    "multi_label": [multi_label(seed, *case) for seed, case in
                    enumerate([(1, 2, 0.5), (10, 3, 0.3), (12, 5, 0.05), (20, 4, 0.7), (3, 3, 0.0)])],
}
(ROOT / "metrics" / "problem_types.json").write_text(json.dumps(vectors, separators=(",", ":")) + "\n")
