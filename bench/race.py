"""Races `peft` against PyTorch with Hugging Face PEFT: the same model, rows, batches and threads, in turn, each run in a new process.

    python race.py --peft-binary ../target/release/peft --work /tmp/bench
    python race.py ... --cases a,e --only "gpt2-6l prompt" --repeats 1

Cases (bench/README.md says more): a training steps, b whole runs, c generation, d a vote of five prompts, e from start to the first step
(the same runs as a). The median of the repetitions counts. The peer is peer.py, run by the same Python as this script.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import median

import process
from models import VOCABULARY
from rows import causal_rows, class_rows, prompt_rows, read_jsonl, write_jsonl
from tables import Table

HERE = Path(__file__).resolve().parent
OURS, PEER, COMPILED = "ours", "PEFT", "PEFT, compiled"
MINILM, MINILM_VOCABULARY, CLASSES = "minilm", 30522, 7
SMOLLM2, SMOLLM2_VOCABULARY = "smollm2", 49152

# Training steps: rows of T tokens; the first steps warm up and do not count.
T, BATCH, WARM_UP = 64, 8, 2
# Name, method, P. PEFT also calls keys and values without the MLP prefix tuning.
METHODS = (("prompt P 20", "prompt", 20), ("prompt P 100", "prompt", 100), ("prefix P 20", "prefix", 20), ("ptv2 P 16", "ptv2", 16))
# Width of the MLP of prefix tuning; the default of `peft train`.
MLP_WIDTH = 512
# Where both start from one adapter, f32 rounding alone: the largest relative difference of the first losses.
LOSS_TOLERANCE = 1e-4

# Cores that other programs may keep busy. Beyond that, times mean nothing: torch's threads wait for each other, and lose far more than ours.
OTHERS_TOLERANCE = 0.1

# Generation: rows at once, and their lengths.
PROMPTS, EQUAL, MIXED = 32, (32, 32), (16, 48)
VOTERS, VOTER_STEPS = 5, 20

# Ours groups rows of similar length by default.
GROUPED = "--group-by-length"


class Race:
    def __init__(self, args):
        self.args = args
        self.work = args.work.resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.results = []
        # Of the peer; this one, unless another is named.
        self.interpreter = vars(args).get("python") or sys.executable
        # Races during which other programs were busy.
        self.disturbed = []

    # Running

    def python(self, script, *arguments):
        return process.run([sys.executable, HERE / script, *arguments], self.args.threads)

    def our_command(self, *arguments):
        return [self.args.peft_binary, *arguments]

    def peer_command(self, *arguments):
        return [self.interpreter, HERE / "peer.py", *arguments, "--threads", self.args.threads]

    def ours(self, *arguments, watch=None):
        return process.run(self.our_command(*arguments), self.args.threads, watch)

    def peer(self, *arguments, watch=None):
        return process.run(self.peer_command(*arguments), self.args.threads, watch)

    def wanted(self, name):
        return self.args.only in name

    def race(self, case, name, sides):
        """Runs the sides in turn; keeps every measurement and returns the medians."""
        runs = {side: [] for side in sides}
        for repetition in range(self.args.repeats):
            for side, run in sides.items():
                found = run()
                runs[side].append(found)
                shown = ", ".join(f"{key} {value:.4g}" for key, value in found.items())
                print(f"{case} {name} [{repetition + 1}/{self.args.repeats}] {side}: {shown}", file=sys.stderr, flush=True)
        busiest = max(run["others"] for found in runs.values() for run in found)
        if busiest > OTHERS_TOLERANCE:
            self.disturbed.append(name)
            print(f"WARNING: {name}: other programs kept {busiest:.1f} cores busy, the times mean nothing", file=sys.stderr)
        medians = {side: {key: median(run[key] for run in found) for key in found[0]} for side, found in runs.items()}
        self.results.append({"case": case, "name": name, "medians": medians, "runs": runs})
        return medians

    # Inputs, made once in the work folder

    def once(self, name, make):
        """The path `name`; `make` writes to another path, which is renamed when it is complete."""
        path, unfinished = self.work / name, self.work / f"{name}.unfinished"
        if not path.exists():
            remove(unfinished)
            make(unfinished)
            unfinished.rename(path)
        return path

    def model(self, name):
        if name == MINILM:
            return self.args.minilm
        if name == SMOLLM2:
            return next(self.args.smollm2.glob("*.gguf"))
        return self.once(name, lambda path: self.python("models.py", name, path))

    def rows(self, name, rows):
        return self.once(f"{name}.jsonl", lambda path: write_jsonl(path, rows()))

    def adapter(self, model, method, p):
        """An adapter as PEFT initialises it, for both sides to start from."""
        task = ["--task", "seq-cls", "--classes", CLASSES] if model == MINILM else ["--task", "causal-lm"]
        return self.once(
            f"adapter-{model}-{method}-{p}",
            lambda path: self.peer(
                "adapter", "--model", self.model(model), *task, "--method", method, "--num-virtual-tokens", p, "--out", path
            ),
        )

    def train(self, side, *arguments):
        """A training run from scratch; its measurements, and the program's own JSON."""
        out, metrics = self.work / "run", self.work / "metrics.jsonl"
        remove(out)
        remove(metrics)
        run = self.ours if side == OURS else self.peer
        if side == COMPILED:
            arguments = (*arguments, "--compile")
        flags = ["--out", out, "--metrics-file", metrics, *(["--json"] if side == OURS else [])]
        if self.args.compute == "bf16":
            flags += ["--dtype", "bf16"] if side == OURS else ["--autocast"]
        found = run("train", *arguments, *flags, watch=metrics)
        measures = {
            **measured(found),
            "step": step_seconds(metrics),
            "first_begins": found.first_line - first_step_seconds(metrics),
            "first_step": found.first_line,
            "first_loss": read_jsonl(metrics)[0]["loss"],
        }
        return measures, json.loads(found.stdout)

    # Cases

    def training_steps(self, cases):
        """Case a, and e from the same runs."""
        columns = ["model and method", *of_both("s per step"), *of_both("peak MB"), "first losses differ by"]
        steps = Table(f"Training steps: {BATCH} rows of {T} tokens", columns)
        columns = ["model and method", *of_both("s until the first step"), *of_both("s with it")]
        starts = Table("From process start until the first step begins, and until it is done", columns)
        settings = [(model, method, False) for model in (*VOCABULARY, MINILM) for method in METHODS]
        settings.append(("gpt2-small", METHODS[1], True))
        if self.args.smollm2:
            settings += [(SMOLLM2, METHODS[0], False), (SMOLLM2, METHODS[3], False)]
        for model, (label, method, p), targets_only in settings:
            name = f"{model} {label}" + (", a quarter labelled" if targets_only else "")
            if not self.wanted(name):
                continue
            found = self.race("a", name, self.training_sides(model, method, p, targets_only))
            # Until its first step is done, a compiled model compiles: that race is without.
            faster = dict(found)
            if self.args.compile:
                faster[PEER] = min(found[PEER], found[COMPILED], key=lambda side: side["step"])
            a, b = found[OURS]["first_loss"], found[PEER]["first_loss"]
            # With an MLP there is no common start: PEFT saves what the MLP computes, not the MLP.
            difference = None if method == "prefix" else abs(a - b) / abs(b)
            if difference and difference > LOSS_TOLERANCE and self.args.compute == "f32":
                print(f"WARNING: {name}: the first losses are {a} and {b}", file=sys.stderr)
            shown = "-" if difference is None else f"{difference:.1e}"
            steps.rows.append([name, *compared(faster, "step"), *compared(faster, "peak_mb"), shown])
            starts.rows.append([name, *compared(found, "first_begins"), *compared(found, "first_step")])
        return [table for case, table in (("a", steps), ("e", starts)) if case in cases]

    def training_sides(self, model, method, p, targets_only):
        # Enough for 16 steps; then both start over.
        count = BATCH * 16
        if model == MINILM:
            task, rows = "seq-cls", self.rows("rows-minilm", lambda: class_rows(count, T, MINILM_VOCABULARY, CLASSES))
        else:
            task, vocabulary = "causal-lm", SMOLLM2_VOCABULARY if model == SMOLLM2 else VOCABULARY[model]
            name = f"rows-{model}" + ("-targets" if targets_only else "")
            rows = self.rows(name, lambda: causal_rows(count, T, vocabulary, targets_only))
        flags = [
            "--model", self.model(model), "--task", task, "--method", method, "--train", rows, "--steps", self.args.steps,
            "--batch-size", BATCH, "--lr", 1e-3, "--schedule", "constant", "--no-shuffle",
        ]  # fmt: skip
        ours, peer = ["--optimizer", "adamw"], ["--num-virtual-tokens", p]
        if model == SMOLLM2:
            ours += ["--base-weights", "f32"]
        if method == "prefix":
            mlp = ["--prefix-hidden-size", MLP_WIDTH]
            ours += ["--num-virtual-tokens", p, *mlp]
            peer += mlp
        else:
            start = ["--init-adapter", self.adapter(model, method, p)]
            ours += start
            peer += start
        own = {OURS: ours, PEER: peer, COMPILED: peer}
        sides = (OURS, PEER, COMPILED) if self.args.compile else (OURS, PEER)
        return {side: partial(lambda side: self.train(side, *flags, *own[side])[0], side) for side in sides}

    def whole_runs(self):
        """Case b."""
        table = Table("From process start to the saved adapter", ["run", *of_both("s"), *of_both("peak MB"), *of_both("accuracy")[:2]])
        for name, flags, own in self.run_settings():

            def run(side):
                measures, result = self.train(side, *flags, *own[side])
                accuracy = result.get("accuracy", (result.get("metrics") or {}).get("accuracy"))
                return measures if accuracy is None else {**measures, "accuracy": accuracy}

            found = self.race("b", name, both(run))
            accuracies = [accuracy and f"{accuracy:.4f}" for accuracy in (found[side].get("accuracy") for side in (OURS, PEER))]
            table.rows.append([name, *compared(found, "seconds"), *compared(found, "peak_mb"), *accuracies])
        return [table]

    def run_settings(self):
        """Name, flags of both, flags of each."""
        name = f"SNIPS intents, MiniLM, ptv2 P 16, {self.args.snips_steps} steps of 32"
        if self.wanted(name):
            data, steps = self.args.shared / "data" / "snips-intent", self.args.snips_steps
            flags = [
                "--model", self.args.minilm, "--task", "seq-cls", "--method", "ptv2", "--num-virtual-tokens", 16, "--batch-size", 32,
                "--train", data / "train.jsonl", "--valid", data / "valid.jsonl", "--steps", steps, "--schedule", "linear",
            ]  # fmt: skip
            # Each at its own best learning rate (docs/RESULTS.md), and one evaluation after the last step.
            yield name, flags, {OURS: ["--lr", 0.03, "--eval-every", steps], PEER: ["--lr", 0.01, GROUPED]}
        for label, method, p in (METHODS[0], METHODS[3]):
            name = f"lengths of E2E, gpt2-6l, {label}, {self.args.e2e_steps} steps of 8"
            if not self.wanted(name):
                continue
            rows = self.once(
                "e2e.jsonl",
                lambda path: self.python("rows.py", self.args.shared, path, "--vocabulary", VOCABULARY["gpt2-6l"]),
            )
            flags = [
                "--model", self.model("gpt2-6l"), "--task", "causal-lm", "--method", method, "--num-virtual-tokens", p,
                "--batch-size", 8, "--train", rows, "--steps", self.args.e2e_steps, "--schedule", "linear", "--lr", 1e-3,
            ]  # fmt: skip
            yield name, flags, {OURS: [], PEER: [GROUPED]}

    def generation(self):
        """Case c."""
        new = self.args.new_tokens
        columns = ["model and adapter", *of_both("s"), *of_both(f"s for {new - 1} tokens"), *of_both("peak MB"), "equal rows"]
        table = Table(f"Generation: {new} new tokens for each of {PROMPTS} rows at once", columns)
        settings = [(model, method, EQUAL) for model in ("gpt2-small", "llama-0.1b") for method in (METHODS[0], METHODS[3])]
        # Under left padding PEFT's prompt tuning moves positions; its prefix does not.
        settings.append(("gpt2-small", METHODS[3], MIXED))
        for model, (label, method, p), lengths in settings:
            shortest, longest = lengths
            name = f"{model} {label}, rows of {shortest}" + (f" to {longest}" if longest > shortest else "")
            if not self.wanted(name):
                continue
            rows = self.rows(f"prompts-{model}-{shortest}-{longest}", lambda: prompt_rows(PROMPTS, lengths, VOCABULARY[model]))
            flags = ["--model", self.model(model), "--adapter", self.adapter(model, method, p), "--input", rows, "--batch-size", PROMPTS]
            outputs = {side: self.work / f"output-{side}.jsonl" for side in (OURS, PEER)}

            def run(side):
                program = self.ours if side == OURS else self.peer
                # The same with one token: loading, and reading the prompt.
                begun = program("generate", *flags, "--output", outputs[side], "--max-new-tokens", 1)
                whole = program("generate", *flags, "--output", outputs[side], "--max-new-tokens", new)
                return {**measured(whole), "tokens": whole.seconds - begun.seconds}

            found = self.race("c", name, both(run))
            texts = ([row["output_ids"] for row in read_jsonl(path)] for path in outputs.values())
            equal = sum(a == b for a, b in zip(*texts, strict=True))
            self.results[-1]["equal_rows"] = equal
            measures = [value for key in ("seconds", "tokens", "peak_mb") for value in compared(found, key)]
            table.rows.append([name, *measures, f"{equal} of {PROMPTS}"])
        return [table]

    def vote(self):
        """Case d."""
        name = f"{VOTERS} prompts P 20, MiniLM, 700 texts of SNIPS"
        if not self.wanted(name):
            return []
        data = self.args.shared / "data" / "snips-intent"
        labels = sorted({record["label"] for record in read_jsonl(data / "train.jsonl")})
        adapters = [self.voter(seed, data, labels) for seed in range(VOTERS)]
        flags = ["--model", self.args.minilm, "--input", data / "valid.jsonl", "--batch-size", 32]
        output, peer_output = self.work / "votes.jsonl", self.work / "probabilities.jsonl"
        each = [part for adapter in adapters for part in ("--adapter", adapter)]
        probabilities = []

        def ours():
            return measured(self.ours("predict", *flags, *each, "--vote", "majority", "--output", output))

        def peer_apart():
            probabilities.clear()
            found = []
            for adapter in adapters:
                found.append(self.peer("predict", *flags, "--adapter", adapter, "--output", peer_output))
                probabilities.append([row["probabilities"][0] for row in read_jsonl(peer_output)])
            return measured(*found)

        def peer_together():
            return measured(self.peer("predict", *flags, *each, "--output", peer_output))

        apart, together = f"{PEER}, {VOTERS} processes", f"{PEER}, one process"
        found = self.race("d", name, {OURS: ours, apart: peer_apart, together: peer_together})
        chosen = [labels[majority(row)] for row in zip(*probabilities)]
        equal = sum(a == b["label"] for a, b in zip(chosen, read_jsonl(output), strict=True))
        self.results[-1]["equal_rows"] = equal
        table = Table(f"A vote: {name} (the same answer to {equal})", ["", "s", "PEFT / ours", "peak MB"])
        for side, measures in found.items():
            ratio = None if side == OURS else measures["seconds"] / found[OURS]["seconds"]
            table.rows.append([side, measures["seconds"], ratio, measures["peak_mb"]])
        return [table]

    def voter(self, seed, data, labels):
        """A prompt trained for a few steps, as `peft` writes it and PEFT reads it."""
        return self.once(
            f"voter-{seed}",
            lambda path: self.ours(
                "train", "--model", self.args.minilm, "--task", "seq-cls", "--method", "prompt", "--num-virtual-tokens", 20,
                "--train", data / "train.jsonl", "--labels", ",".join(labels), "--steps", VOTER_STEPS, "--seed", seed, "--out", path,
            ),
        )  # fmt: skip


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def measured(*runs):
    """Of one process, or of several run one after the other."""
    return {
        "seconds": sum(run.seconds for run in runs),
        "cpu_seconds": sum(run.cpu_seconds for run in runs),
        "peak_mb": max(run.peak_mb for run in runs),
        "others": max(run.others for run in runs),
    }


def seconds_of(line):
    """The seconds of a step in a metrics file: `peft` writes a rate, peer.py the seconds."""
    return line["seconds"] if "seconds" in line else line["tokens"] / line["tokens_per_second"]


def step_seconds(metrics):
    """The median step in a metrics file, without the first ones."""
    return median(seconds_of(line) for line in read_jsonl(metrics)[WARM_UP:])


def first_step_seconds(metrics):
    return seconds_of(read_jsonl(metrics)[0])


def both(run):
    """The two sides of a race that `run` runs by name."""
    return {side: partial(run, side) for side in (OURS, PEER)}


def of_both(what):
    return [f"{what}: {OURS}", PEER, f"{PEER} / {OURS}"]


def compared(medians, key):
    a, b = medians[OURS][key], medians[PEER][key]
    return [a, b, b / a]


def majority(rows):
    """The class that most of these lists of probabilities rank first; a tie goes to the largest mean."""
    votes = Counter(row.index(max(row)) for row in rows)
    return max(votes, key=lambda c: (votes[c], sum(row[c] for row in rows)))


def machine():
    cpu = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in cpu)}
    flags = fields.get("flags", "").split()

    def git(*arguments):
        try:
            return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True).stdout.strip()
        except FileNotFoundError:
            return ""

    return {
        "cpu": fields.get("model name", "unknown"),
        "kind": "-".join(fields.get(key, "unknown") for key in ("vendor_id", "cpu family", "model")),
        "cores": os.cpu_count(),
        "vectors": next((name for name in ("avx512f", "avx2") if name in flags), "unknown"),
        "commit": (git("rev-parse", "--short", "HEAD") or "unknown") + (", changed" if git("status", "--porcelain", "--", "..") else ""),
        "python": sys.version.split()[0],
        **versions(),
    }


def versions():
    """Of the peer's libraries, as far as they are installed."""
    found = {}
    for name in ("torch", "transformers", "peft"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def built():
    """Where `cargo build --release -p peft-cli` puts the program."""
    return Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "release" / "peft"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    env = {name: Path(value) for name in ("PEFT_MINILM", "PEFT_SMOLLM2", "PEFT_SHARED") if (value := os.environ.get(name))}
    parser.add_argument("--peft-binary", type=Path, default=built())
    parser.add_argument("--work", type=Path, required=True, help="models, rows and adapters are made here, once")
    parser.add_argument("--cases", default="a,b,c,d,e")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="only races with this in their name")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compute", choices=("f32", "bf16"), default="f32", help="training of both; bf16 is autocast on PEFT's side")
    parser.add_argument("--compile", action="store_true", help="case a also with torch.compile on PEFT's side; its faster one counts")
    parser.add_argument("--minilm", type=Path, default=env.get("PEFT_MINILM"), help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--smollm2", type=Path, default=env.get("PEFT_SMOLLM2"), help="folder of SmolLM2-135M in GGUF; without it, it is left out")
    parser.add_argument("--shared", type=Path, default=env.get("PEFT_SHARED", HERE.parents[1] / "shared"))
    parser.add_argument("--steps", type=int, default=10, help=f"of case a, the first {WARM_UP} to warm up")
    parser.add_argument("--snips-steps", type=int, default=430)
    parser.add_argument("--e2e-steps", type=int, default=200)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--results", type=Path, help="JSON; default: a file in the work folder, named after the processor")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables, too")
    args = parser.parse_args()
    args.cases = args.cases.split(",")
    if unknown := set(args.cases) - set("abcde"):
        parser.error(f"--cases: there is no {', '.join(sorted(unknown))}")
    if min(args.steps, args.snips_steps, args.e2e_steps) <= WARM_UP:
        parser.error(f"more than {WARM_UP} steps are needed")
    if not args.peft_binary.is_file():
        parser.error(f"{args.peft_binary} is not there: cargo build --release -p peft-cli")
    if args.minilm is None and args.cases != ["c"]:
        parser.error("--minilm or PEFT_MINILM is required, except for case c alone")
    return args


def main():
    args = arguments()
    race = Race(args)
    report = {"machine": machine(), "threads": args.threads, "compute": args.compute, "repeats": args.repeats, "steps": args.steps, "results": race.results}
    heading = ", ".join(f"{key} {value}" for key, value in [*report["machine"].items(), ("threads", args.threads), ("compute", args.compute)])
    print(heading + f", medians of {args.repeats}\n", flush=True)
    parts = (("ae", lambda: race.training_steps(args.cases)), ("b", race.whole_runs), ("c", race.generation), ("d", race.vote))
    tables = []
    for cases, run in parts:
        if not set(cases) & set(args.cases):
            continue
        for table in run():
            if table.rows:
                tables.append(table)
                print(table.text(), flush=True)
        # After each part, in case a later one is broken off.
        results = args.results or race.work / f"results-{report['machine']['kind']}-{args.compute}.json"
        results.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if race.disturbed:
        heading += f"\n\nNOT VALID, other programs were busy: {'; '.join(race.disturbed)}"
        print(heading)
    if args.markdown:
        args.markdown.write_text("\n".join([heading + "\n", *(table.markdown() for table in tables)]), encoding="utf-8")


if __name__ == "__main__":
    main()
