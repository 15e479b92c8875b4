"""How the time of a training step of `peft` grows with T, P, B, layers and threads, on the shape gpt2-6l: a plot and a table.

    python scaling.py --peft-binary ../target/release/peft --work /tmp/bench [--plot ../docs/plots/scaling.svg]

One quantity changes at a time, the others stay at BASE. A straight line is fitted to the seconds (by relative error), and the table says
how far the measurements are from it.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median

from models import VOCABULARY
from race import OTHERS_TOLERANCE, Race, built, machine, remove, step_seconds
from rows import causal_rows
from tables import Table

SHAPE = "gpt2-6l"
BASE = {"T": 64, "P": 16, "B": 8, "layers": 6}
SWEEPS = {"T": (32, 64, 128, 256, 512), "P": (8, 32, 64, 128, 256), "B": (1, 2, 4, 8, 16, 32), "layers": (2, 4, 6, 9, 12)}
METHODS = {"prompt": "#4477aa", "ptv2": "#cc6677"}
LONGEST_ROWS = 128


def measure(race, method, point, threads):
    """Median seconds of a step."""
    layers, length = point["layers"], point["T"]
    model = race.once(f"{SHAPE}-{layers}", lambda path: race.python("models.py", SHAPE, path, "--layers", layers))
    rows = race.rows(f"rows-{SHAPE}-{length}", lambda: causal_rows(LONGEST_ROWS, length, VOCABULARY[SHAPE]))
    out, metrics = race.work / "run", race.work / "metrics.jsonl"
    race.args.threads = threads
    found = []
    for _ in range(race.args.repeats):
        remove(out)
        remove(metrics)
        run = race.ours(
            "train", "--model", model, "--task", "causal-lm", "--method", method, "--num-virtual-tokens", point["P"], "--train", rows,
            "--out", out, "--metrics-file", metrics, "--no-shuffle", "--steps", race.args.steps, "--batch-size", point["B"],
        )  # fmt: skip
        if run.others > OTHERS_TOLERANCE:
            print(f"WARNING: other programs kept {run.others:.1f} cores busy, the next time means nothing", file=sys.stderr)
        found.append(step_seconds(metrics))
    return median(found)


def measure_all(race, only, threads):
    """The points of each quantity and method: values and seconds."""
    sweeps = {**SWEEPS, "threads": tuple(range(1, threads + 1))}
    curves = {}
    for quantity, values in sweeps.items():
        if only not in quantity:
            continue
        for method in METHODS:
            seconds = []
            for value in values:
                changed = {**BASE, quantity: value}
                seconds.append(measure(race, method, changed, changed.pop("threads", threads)))
                print(f"{quantity} {value} {method}: {seconds[-1]:.4f} s", file=sys.stderr, flush=True)
            curves.setdefault(quantity, {})[method] = {"values": list(values), "seconds": seconds}
    return curves


def fit(curve):
    """The line through the points: seconds at 0, seconds per unit, and the largest relative deviation."""
    import numpy as np

    values, seconds = np.array(curve["values"], float), np.array(curve["seconds"])
    slope, start = np.polyfit(values, seconds, 1, w=1 / seconds)
    deviation = float(np.abs(seconds / (start + slope * values) - 1).max())
    return float(start), float(slope), deviation


def tables(curves):
    base = ", ".join(f"{name} {value}" for name, value in BASE.items())
    lines = Table(
        f"Seconds per step on {SHAPE} ({base}, one of them changed)",
        ["quantity", "method", "values", "seconds", "ms fixed", "ms per unit", "off the line at most"],
    )
    threads = Table("Threads", ["method", "threads", "seconds", "times faster than one"])
    for quantity, methods in curves.items():
        for method, curve in methods.items():
            values, seconds = curve["values"], curve["seconds"]
            shown = ", ".join(map(str, values)), ", ".join(f"{s:.3f}" for s in seconds)
            if quantity == "threads":
                threads.rows.append([method, *shown, ", ".join(f"{seconds[0] / s:.2f}" for s in seconds)])
                continue
            start, slope, deviation = fit(curve)
            lines.rows.append([quantity, method, *shown, 1e3 * start, 1e3 * slope, f"{100 * deviation:.1f} %"])
    return [table for table in (lines, threads) if table.rows]


def plot(curves, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # The same measurements give the same bytes.
    plt.rcParams.update({"svg.hashsalt": "peft", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(1, len(curves), figsize=(3 * len(curves), 3), squeeze=False, layout="constrained")
    for axis, (quantity, methods) in zip(axes[0], curves.items()):
        for method, curve in methods.items():
            values = curve["values"]
            axis.plot(values, curve["seconds"], "o", color=METHODS[method], label=method)
            if quantity == "threads":
                # What perfect use of the threads would give.
                line = [curve["seconds"][0] / value for value in values]
            else:
                start, slope, _ = fit(curve)
                line = [start + slope * value for value in values]
            axis.plot(values, line, "--", linewidth=1, color=METHODS[method])
        axis.set_xlabel(quantity)
        axis.set_ylim(bottom=0)
        axis.set_xticks(values if quantity in ("layers", "threads") else values[2:])
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("seconds per step")
    axes[0][0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peft-binary", type=Path, default=built())
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", default="", help="T, P, B, layers or threads")
    parser.add_argument("--steps", type=int, default=10, help="the first 2 do not count")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plot", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "plots" / "scaling.svg")
    parser.add_argument("--results", type=Path, help="JSON; default: scaling.json in the work folder")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables, too")
    return parser.parse_args()


def main():
    args = arguments()
    race = Race(args)
    curves = measure_all(race, args.only, args.threads)
    report = {"machine": machine(), "base": BASE, "curves": curves}
    (args.results or race.work / "scaling.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    plot(curves, args.plot)
    found = tables(curves)
    print("\n".join(table.text() for table in found))
    if args.markdown:
        args.markdown.write_text("\n".join(table.markdown() for table in found), encoding="utf-8")


if __name__ == "__main__":
    main()
