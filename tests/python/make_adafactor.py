"""Writes tests/vectors/training/adafactor.json: fifty steps of Adafactor as T5X makes them.

    python tests/python/make_adafactor.py

The rule is that of Shazeer & Stern 2018 (arXiv 1804.04235) with T5X's choices: a decay of 1 - t^-0.8, no momentum,
updates clipped to an RMS of 1, weight decay outside the learning rate, row and column means only where both sides have
at least 128 numbers. Lester et al. 2021 train prompts so, at a constant 0.3, with a weight decay of 1e-5 and without
scaling by the parameter's size; the runs with scaling are at 0.01. It is written here in numpy's f64 from the equations,
with the step counted from 0, and knows nothing of the Rust code. A prompt of 100 rows keeps all second moments, one of
150 rows means.

Start, targets and gradients are closed forms, which the test computes too: the gradient pulls towards the target, the
more the further it is, plus something that changes with the step. What is stored of each step: the root mean square of
the parameter, and the values at a few places.
"""

import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent.parent / "vectors" / "training" / "adafactor.json"
STEPS = 50
H = 128
DECAY_EXPONENT = 0.8
CLIPPING_THRESHOLD = 1.0
WEIGHT_DECAY = 1e-5
MIN_DIM_SIZE_TO_FACTOR = 128
EPSILON_1 = 1e-30
EPSILON_2 = 1e-3
PLACES = [(0, 0), (3, 7), (41, 100), (77, 64), (98, 1), (99, 127)]


def rms(values):
    return np.sqrt(np.mean(values * values))


def start_and_target(rows):
    i, j = np.meshgrid(np.arange(rows), np.arange(H), indexing="ij")
    return 0.5 * np.cos(0.7 * i + 0.13 * j), 20.0 * np.sin(0.31 * i - 0.17 * j)


def gradient(step, parameter, target):
    """Columns differ in size by a factor of a thousand, as those of a language model do."""
    rows = parameter.shape[0]
    i, j = np.meshgrid(np.arange(rows), np.arange(H), indexing="ij")
    size = 10.0 ** (-3.0 * j / H)
    return size * (np.tanh((parameter - target) / 8.0) + 0.3 * np.sin(0.9 * i + 0.37 * j + 1.7 * step))


def run(rows, rate, multiply_by_parameter_scale):
    parameter, target = start_and_target(rows)
    factored = min(rows, H) >= MIN_DIM_SIZE_TO_FACTOR
    full, by_row, by_column = np.zeros((rows, H)), np.zeros(rows), np.zeros(H)
    steps = []
    for step in range(STEPS):
        g = gradient(step, parameter, target)
        decay = 1.0 - (step + 1.0) ** -DECAY_EXPONENT
        square = g * g + EPSILON_1
        if factored:
            by_row = decay * by_row + (1.0 - decay) * square.mean(axis=1)
            by_column = decay * by_column + (1.0 - decay) * square.mean(axis=0)
            # The rank-one estimate of the moments, whose mean is that of either.
            update = g / np.sqrt(np.outer(by_row, by_column) / by_row.mean())
        else:
            full = decay * full + (1.0 - decay) * square
            update = g / np.sqrt(full)
        update = update / max(1.0, rms(update) / CLIPPING_THRESHOLD)
        scale = max(rms(parameter), EPSILON_2) if multiply_by_parameter_scale else 1.0
        parameter = (1.0 - WEIGHT_DECAY) * parameter - rate * scale * update
        steps.append({"rms": rms(parameter), "values": [parameter[place] for place in PLACES]})
    return {
        "rows": rows,
        "lr": rate,
        "multiply_by_parameter_scale": multiply_by_parameter_scale,
        "factored": factored,
        "steps": steps,
    }


def main():
    runs = [run(rows, rate, scaled) for rows in (100, 150) for rate, scaled in ((0.3, False), (0.01, True))]
    content = {"hidden_size": H, "weight_decay": WEIGHT_DECAY, "places": PLACES, "runs": runs}
    OUT.write_text(json.dumps(content, indent=1) + "\n")
    for one in runs:
        print(one["rows"], one["factored"], one["multiply_by_parameter_scale"], one["steps"][0]["rms"], one["steps"][-1]["rms"])


if __name__ == "__main__":
    main()
