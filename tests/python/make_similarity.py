"""Makes vectors/similarity: how alike the adapters of vectors/logits are, by the definitions, with numpy.

    python make_similarity.py [--out ../vectors/similarity]

similarity.json: for each case a measure, the adapters (below vectors/logits) and the matrix of all pairs. The two measures of
SPoT (Vu et al. 2022) are written as loops over pairs of virtual tokens, linear CKA (Kornblith et al. 2019) with the covariances
of features, |Y'X|^2 / (|X'X| |Y'Y|); the program computes the first without pairs and the second with Gram matrices.
`short` of a case: so many of the first virtual tokens are kept of an adapter, in a folder that the test makes.

Committed results: numpy 2.4.6, safetensors 0.8.0.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

VECTORS = Path(__file__).resolve().parent.parent / "vectors"

CASES = (
    ("cosine-average", ["gpt2/prompt", "gpt2/p-tuning", "llama/prompt"], {}),
    ("cosine-pairs", ["gpt2/prompt", "gpt2/p-tuning", "llama/prompt"], {}),
    ("cosine-average", ["gpt2/prompt", "gpt2/p-tuning"], {"gpt2/p-tuning": 3}),
    ("cosine-pairs", ["gpt2/prompt", "gpt2/p-tuning"], {"gpt2/p-tuning": 3}),
    ("cosine-average", ["gpt2/prefix", "gpt2/prefix-mlp"], {}),
    ("cosine-pairs", ["gpt2/prefix", "gpt2/prefix-mlp"], {"gpt2/prefix": 2}),
    ("cka", ["gpt2/prefix", "gpt2/prefix-mlp", "bert/prefix"], {}),
)


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def cosine_average(a, b):
    return cosine(a.mean(axis=0), b.mean(axis=0))


def cosine_pairs(a, b):
    return float(np.mean([[cosine(x, y) for y in b] for x in a]))


def linear_cka(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return float(np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def layers(rows, name):
    count = json.loads((VECTORS / "logits" / name / "adapter_config.json").read_text())["num_layers"]
    return np.split(rows, count, axis=1)


def read(name, short):
    tensors = load_file(str(VECTORS / "logits" / name / "adapter_model.safetensors"))
    rows = tensors["prompt_embeddings"].astype(np.float64)
    return rows[: short.get(name, len(rows))]


def make(measure, names, short):
    rows = {name: read(name, short) for name in names}
    case = {"measure": measure, "adapters": names, "short": short}
    if measure != "cka":
        of = {"cosine-average": cosine_average, "cosine-pairs": cosine_pairs}[measure]
        return {**case, "matrix": [[of(rows[a], rows[b]) for b in names] for a in names]}
    by_layer = {name: layers(rows[name], name) for name in names}
    pairs = {
        (a, b): [[linear_cka(x, y) for y in by_layer[b]] for x in by_layer[a]] for a in names for b in names
    }
    matrix = [[float(np.mean(np.diag(pairs[a, b]))) for b in names] for a in names]
    upper = [pairs[a, b] for i, a in enumerate(names) for b in names[i + 1 :]]
    return {**case, "matrix": matrix, "pairs": upper}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "similarity")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cases = [make(*case) for case in CASES]
    (args.out / "similarity.json").write_text(json.dumps(cases, indent=1) + "\n")
    for case in cases:
        print(case["measure"], case["adapters"], np.round(case["matrix"], 3).tolist())


if __name__ == "__main__":
    main()
