"""Vectors of significance tests: Welch's t test, paired bootstrap and approximate randomisation, by SciPy.

    python tests/python/make_significance.py

writes tests/vectors/metrics/significance.json. SciPy draws other numbers, so what is drawn is compared within a
tolerance.
"""

import json
import pathlib

import numpy as np
from scipy import stats

OUT = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "metrics" / "significance.json"
DRAWS = 40_000


def welch(a, b):
    found = stats.ttest_ind(a, b, equal_var=False)
    low, high = found.confidence_interval(0.95)
    return {"a": a, "b": b, "degrees": found.df, "p": found.pvalue, "low": low, "high": high}


def ratios(a, of_a, b, of_b, axis=-1):
    return a.sum(axis) / of_a.sum(axis) - b.sum(axis) / of_b.sum(axis)


def over_rows(rng, rows, right_a, right_b, longest):
    """Two systems that agree on many rows; each row is a number of right tags of all its tags."""
    lengths = rng.integers(1, longest + 1, rows)
    shared = rng.random(rows)
    system = lambda right: rng.binomial(lengths, np.clip(right + 0.5 * (shared - 0.5), 0, 1))
    a, b = system(right_a), system(right_b)
    interval = stats.bootstrap(
        (a, lengths, b, lengths), ratios, paired=True, vectorized=True, n_resamples=DRAWS, method="percentile", rng=rng
    ).confidence_interval
    # Both systems divide by the same lengths, so that changing sides is changing the sign.
    p = stats.permutation_test(
        ((a - b) / lengths.sum(),), np.sum, permutation_type="samples", vectorized=False, n_resamples=DRAWS, rng=rng
    )
    of = lambda right: [[int(x), int(n)] for x, n in zip(right, lengths)]
    return {"a": of(a), "b": of(b), "low": interval.low, "high": interval.high, "p": p.pvalue}


def main():
    rng = np.random.default_rng(0)
    seeds = lambda mean, deviation, count: [float(x) for x in rng.normal(mean, deviation, count)]
    found = {
        "welch": [
            welch(seeds(0.98, 0.002, 3), seeds(0.97, 0.01, 3)),
            welch(seeds(0.5, 0.1, 2), seeds(0.7, 0.01, 5)),
            welch(seeds(12.0, 3.0, 20), seeds(11.0, 1.0, 9)),
            welch([0.9, 0.91], [0.1, 0.13, 0.12]),
        ],
        "rows": [
            over_rows(rng, 200, 0.82, 0.66, 1),
            over_rows(rng, 90, 0.8, 0.75, 1),
            over_rows(rng, 120, 0.62, 0.53, 12),
        ],
    }
    OUT.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
