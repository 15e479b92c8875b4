"""Says in ten minutes what a `peft` program does on a card: which devices it sees, whether the card is right, and training steps against PyTorch
with Hugging Face PEFT on the same card: tokens a second, memory, and the share of what products reach there.

    python gpu.py --peft-binary ./peft --device cuda --work cache --python venv/bin/python
    python gpu.py --peft-binary ./peft --small --work cache

Nothing is downloaded, and this script needs nothing but Python: models have random weights (gpu_models.py), made once in --work. Without torch,
transformers and PEFT in --python the peer is left out. What matters most is measured first, and written after each setting: a run that
is broken off leaves what it has.
"""

import argparse
import json
import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import process
from device_memory import Watch
from gpu_models import CONFIGS, write_model
from race import LOSS_TOLERANCE, MLP_WIDTH, OTHERS_TOLERANCE, OURS, PEER, Race, built, machine, remove, seconds_of
from rows import causal_rows, read_jsonl, seq2seq_rows
from tables import Table

# Label, method, P, the most important first.
METHODS = (("prompt P 20", "prompt", 20), ("ptv2 P 16", "ptv2", 16), ("prompt P 100", "prompt", 100), ("prefix P 16", "prefix", 16))
MODELS = ("gpt2-small", "llama-1b", "smollm2-135m", "t5-large")
# The small form: each family and each method once, in some seconds.
SMALL = (
    ("gpt2-tiny", ("prompt P 4", "prompt", 4)),
    ("smollm2-tiny", ("prompt P 8", "prompt", 8)),
    ("llama-tiny", ("ptv2 P 4", "ptv2", 4)),
    ("t5-tiny", ("prefix P 4", "prefix", 4)),
)
FAMILIES = ("gpt2", "llama", "t5")

# A run gets this many times its share of the seconds that are left: the first ones compile kernels, and most take less.
GENEROUS = 6
# With less left than this, nothing is begun.
LEAST_SECONDS = 15
# Of the whole time, for the self-test.
SELFTEST_SHARE = 0.25
# Rounding, of TF32 or bf16, between first losses.
CARD_TOLERANCE = 2e-2


@dataclass
class Setting:
    model: str
    label: str
    method: str
    p: int
    dtype: str

    @property
    def name(self):
        return f"{self.model} {self.label} {self.dtype}"

    @property
    def is_pair(self):
        return CONFIGS[self.model]["model_type"] == "t5"

    @property
    def task(self):
        return "seq2seq-lm" if self.is_pair else "causal-lm"

    @property
    def has_common_start(self):
        """PEFT does not save the MLP, and its prefix of an encoder-decoder is another one: the decoder's alone."""
        return self.method != "prefix" and (self.method == "prompt" or not self.is_pair)


class GpuRace(Race):
    def __init__(self, args):
        super().__init__(args)
        self.begin = time.perf_counter()
        self.watch = Watch(args.card)
        self.peer_device = peer_device(args.device)
        self.report = {
            "machine": machine(), "device": args.device, "command": shlex.join([sys.executable, *sys.argv]), "batch_size": args.batch_size,
            "length": args.length, "target": args.target, "steps": args.steps, "results": self.results, "left_out": [], "remarks": [],
        }  # fmt: skip

    # Time

    def left(self):
        return 60 * self.args.minutes - (time.perf_counter() - self.begin)

    def told(self, text):
        self.report["remarks"].append(text)
        print(f"note: {text}", flush=True)

    # What there is

    def devices(self):
        command = self.our_command("info", "--devices")
        print("$", shlex.join(map(str, command)))
        print(process.run(command, self.args.threads, limit=self.left()).stdout, flush=True)
        found = process.run([*command, "--json"], self.args.threads, limit=self.left())
        self.report["devices"] = json.loads(found.stdout)

    def selftest(self):
        families = [part for family in FAMILIES for part in ("--family", family)]
        command = self.our_command("selftest", "--device", self.args.device, *families)
        print("$", shlex.join(map(str, command)), flush=True)
        found = {"command": shlex.join(map(str, command))}
        start = time.perf_counter()
        try:
            found["said"] = process.run(command, self.args.threads, limit=SELFTEST_SHARE * 60 * self.args.minutes).stdout
            found["right"] = True
        except process.TooLong as late:
            found["said"] = str(late)
            self.told(f"the self-test was {late}: whether the device is right is not known")
        except process.Failed as wrong:
            found.update(right=False, said=f"{wrong.stdout}\n{wrong}")
            self.told("the self-test found something wrong: numbers below are of a device that is not right")
        found["seconds"] = time.perf_counter() - start
        self.report["selftest"] = found
        print(found["said"], flush=True)

    def peer_about(self):
        """What there is of the peer; None, with a remark, if it cannot run here."""
        if self.peer_device is None:
            self.told(f"{PEER} is left out: torch has no {self.args.device}")
            return None
        try:
            run = process.run(self.peer_command("about", "--device", self.peer_device), self.args.threads, limit=self.left())
        except (RuntimeError, OSError) as error:
            last = str(error).strip().splitlines()[-1]
            self.told(f"{PEER} is left out: {self.interpreter} has no torch, transformers and peft that compute on {self.peer_device} ({last})")
            return None
        return json.loads(run.stdout)

    def peaks(self, there_is_a_peer):
        """Operations a second of a product, by the type."""
        if not there_is_a_peer:
            return {}
        command = self.peer_command("peak", "--device", self.peer_device, "--size", self.args.product)
        try:
            found = json.loads(process.run(command, self.args.threads, limit=self.left()).stdout)
        except RuntimeError as error:
            self.told(f"what products reach here is not known: {str(error).strip().splitlines()[-1]}")
            return {}
        self.report["peak"] = {"command": shlex.join(map(str, command)), "operations_per_second": found}
        return found

    # Runs

    def gpu_model(self, shape):
        return self.once(shape, lambda path: write_model(shape, path))

    def gpu_rows(self, setting):
        vocabulary, t, target = CONFIGS[setting.model]["vocab_size"], self.args.length, self.args.target
        count = 16 * self.args.batch_size
        if setting.is_pair:
            return self.rows(f"rows-{vocabulary}-{count}-{t}-{target}", lambda: seq2seq_rows(count, t, target, vocabulary))
        return self.rows(f"rows-{vocabulary}-{count}-{t}", lambda: causal_rows(count, t, vocabulary))

    def operations(self, setting):
        """Of a step, as `peft plan` counts them for a GPU."""
        flags = ["--target-tokens-per-row", self.args.target] if setting.is_pair else []
        command = self.our_command(
            "plan", "--model", self.gpu_model(setting.model), "--task", setting.task, *self.method_flags(setting), *flags,
            "--batch-size", self.args.batch_size, "--tokens-per-row", self.args.length, "--device", "h100", "--json",
        )  # fmt: skip
        text = shlex.join(map(str, command))
        try:
            run = process.run(command, self.args.threads, limit=self.left())
        except RuntimeError as error:
            self.told(f"{setting.name}: its operations are not known: {str(error).strip().splitlines()[-1]}")
            return None, text
        return json.loads(run.stdout)["step"]["flop"], text

    def method_flags(self, setting):
        mlp = ["--prefix-hidden-size", MLP_WIDTH] if setting.method == "prefix" else []
        return ["--method", setting.method, "--num-virtual-tokens", setting.p, *mlp]

    def measure(self, side, setting, runs_left):
        """What a run of one side measures; `failed` says why there is nothing."""
        out, metrics, start = self.work / "run", self.work / "metrics.jsonl", self.work / "start"
        remove(out)
        remove(metrics)
        flags = [
            "--model", self.gpu_model(setting.model), "--task", setting.task, *self.method_flags(setting), "--train", self.gpu_rows(setting),
            "--steps", self.args.steps, "--batch-size", self.args.batch_size, "--lr", 1e-3, "--schedule", "constant", "--no-shuffle",
            "--out", out, "--metrics-file", metrics,
        ]  # fmt: skip
        if side == OURS:
            flags += ["--optimizer", "adamw", "--device", self.args.device, "--no-report"]
            flags += ["--init-adapter", start] if setting.has_common_start and start.exists() else []
            flags += ["--dtype", setting.dtype] if setting.dtype != "f32" else []
            command = self.our_command("train", *flags)
        else:
            remove(start)
            flags += ["--device", self.peer_device, "--dtype", setting.dtype]
            flags += ["--save-start", start] if setting.has_common_start else []
            command = self.peer_command("train", *flags)
        limit = min(self.left(), max(LEAST_SECONDS, GENEROUS * self.left() / runs_left))
        found = {"command": shlex.join(map(str, command))}
        with self.watch as watch:
            try:
                run = process.run(command, self.args.threads, metrics, limit)
                found |= {"host_mb": run.peak_mb, "seconds": run.seconds, "first_step": run.first_line, "others": run.others}
            except process.TooLong as late:
                found |= {"cut": str(late), "first_step": late.first_line}
            except RuntimeError as error:
                found["failed"] = str(error)[-2000:]
        found["device_mb"] = watch.peak_mb
        lines = complete_lines(metrics)
        counted = lines[self.args.warm_up :]
        if not counted and "failed" not in found:
            found["failed"] = f"{len(lines)} steps were made, {found.get('cut', 'no more')}"
        if counted:
            step = median(map(seconds_of, counted))
            tokens = self.args.batch_size * (self.args.length + (self.args.target if setting.is_pair else 0))
            found |= {"step": step, "counted": len(counted), "tokens_per_second": tokens / step, "first_loss": lines[0]["loss"]}
            found["allocated_mb"] = max((line["allocated_mb"] for line in lines if "allocated_mb" in line), default=None)
        return found

    def settings(self):
        dtypes = ["f32", "bf16"] if self.has_dtype() else ["f32"]
        if self.args.small:
            made = [Setting(model, *method, "f32") for model, method in SMALL]
        else:
            # Each model by one method in each type, before the other methods.
            made = [Setting(model, *method, dtype) for method in METHODS for dtype in dtypes for model in MODELS]
        return [setting for setting in made if self.args.only in setting.name]

    def has_dtype(self):
        text = process.run(self.our_command("train", "--help"), self.args.threads, limit=60).stdout
        if "--dtype <" in text:
            return True
        self.told("this program has no --dtype: its frozen weights are in f32")
        return False

    def all(self):
        """Everything, and writes it after each setting; whether no run of ours failed."""
        if self.args.small:
            self.told("the small form: it shows that the script works, its numbers mean nothing")
        self.devices()
        self.selftest()
        peer = self.report["peer"] = self.peer_about()
        if self.watch.card is None:
            self.told("no NVML here: the memory of the device is not known but for what torch tells of its own")
        peaks = self.peaks(peer)
        settings = self.settings()
        sides = (PEER, OURS) if peer else (OURS,)
        is_right = True
        for place, setting in enumerate(settings):
            if self.left() < LEAST_SECONDS:
                self.report["left_out"] = [setting.name for setting in settings[place:]]
                self.told(f"the time is up: left out are {', '.join(self.report['left_out'])}")
                break
            operations, counted_by = self.operations(setting)
            found = {"name": setting.name, "model": setting.model, "method": setting.label, "dtype": setting.dtype}
            found |= {"operations": operations, "operations_command": counted_by, "sides": {}}
            self.results.append(found)
            for number, side in enumerate(sides):
                if self.left() < 1:
                    break
                runs_left = (len(settings) - place) * len(sides) - number
                one = found["sides"][side] = self.measure(side, setting, runs_left)
                if operations and (step := one.get("step")):
                    one["operations_per_second"] = operations / step
                    one["share"] = shares(operations / step, setting.dtype, peaks, self.args.data_sheet)
                print(f"{setting.name} {side}: {in_short(one)}", flush=True)
                is_right &= side != OURS or "failed" not in one
                if one.get("others", 0) > OTHERS_TOLERANCE * (os.cpu_count() or 1) and not self.args.small:
                    self.told(f"{setting.name}, {side}: other programs kept {one['others']:.1f} cores busy")
            self.compare_losses(found, setting)
            self.write()
        self.write()
        return is_right

    def compare_losses(self, found, setting):
        losses = [side.get("first_loss") for side in found["sides"].values()]
        if len(losses) < 2 or None in losses or not setting.has_common_start:
            return
        a, b = losses
        found["losses_differ"] = abs(a - b) / abs(b)
        tolerance = LOSS_TOLERANCE if self.args.device == "cpu" and setting.dtype == "f32" else CARD_TOLERANCE
        if found["losses_differ"] > tolerance:
            self.told(f"{setting.name}: the first losses are {a} ({PEER}) and {b} ({OURS})")

    # Results

    def tables(self):
        both = [(OURS, OURS), (PEER, PEER)]
        columns = ["model, method, type", *(f"tokens/s: {name}" if side == OURS else name for name, side in both), f"{OURS} / {PEER}"]
        columns += [f"share of the peak: {OURS}", PEER, f"device MB: {OURS}", PEER, "of that torch", f"s to the first step: {OURS}", PEER]
        columns += ["steps counted", "first losses differ by"]
        target = f", of T5 {self.args.target} of a target" if any("t5" in one["model"] for one in self.results) else ""
        table = Table(f"Training steps: {self.args.batch_size} rows of {self.args.length} tokens{target}", columns)
        for one in self.results:
            ours, peer = (one["sides"].get(side, {}) for side in (OURS, PEER))
            speeds = [side.get("tokens_per_second") for side in (ours, peer)]
            ratio = speeds[0] / speeds[1] if all(speeds) else None
            shown = [percent(side.get("share", {}).get("measured")) for side in (ours, peer)]
            counted = ", ".join(str(side["counted"]) + (" (cut)" if "cut" in side else "") for side in (ours, peer) if "counted" in side)
            differ = one.get("losses_differ")
            table.rows.append(
                [
                    one["name"], *speeds, ratio, *shown, ours.get("device_mb"), peer.get("device_mb"), peer.get("allocated_mb"),
                    ours.get("first_step"), peer.get("first_step"), counted or "-", None if differ is None else f"{differ:.1e}",
                ]
            )  # fmt: skip
        tables = [table]
        if peak := self.report.get("peak"):
            reached = Table(f"Products of matrices {self.args.product} by {self.args.product}, in torch", ["type", "TFLOP/s", "data sheet"])
            for name, value in peak["operations_per_second"].items():
                reached.rows.append([name, value / 1e12, self.args.data_sheet.get(name)])
            tables.append(reached)
        return tables

    def write(self):
        results = self.args.results or self.work / "gpu.json"
        results.write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")
        (self.args.markdown or results.with_suffix(".md")).write_text(self.markdown(), encoding="utf-8")

    def markdown(self):
        report = self.report
        heading = ", ".join(f"{key} {value}" for key, value in [*report["machine"].items(), ("device", report["device"])])
        selftest = report.get("selftest", {})
        right = {True: "right", False: "WRONG"}.get(selftest.get("right"), "not known")
        said = [f"Self-test ({', '.join(FAMILIES)}): {right}, {selftest.get('seconds', 0):.0f} s."]
        if report.get("peer"):
            said.append(f"{PEER}: " + ", ".join(f"{key} {value}" for key, value in report["peer"].items()) + ".")
        said += [f"Note: {remark}." for remark in report["remarks"]]
        said.append(f"`{report['command']}`")
        measured = [
            "Tokens are those of the rows, without virtual ones. A step is the median, not counting the first "
            f"{self.args.warm_up}, which compile and choose kernels. Shares are operations of a step (`peft plan`, for both sides) over its seconds and "
            "what the product below reaches: in TF32 for f32, which both may use on a card. Device MB is what NVML says is in use at "
            "the most, above what was before the process; of that, torch's own count is `torch.cuda.max_memory_allocated`."
        ]
        commands = ["### Commands", "", "```sh"]
        for key in ("selftest", "peak"):
            commands += [report[key]["command"]] if key in report else []
        for one in report["results"]:
            commands += [f"# {one['name']}", one["operations_command"], *(side["command"] for side in one["sides"].values())]
        tables = [table.markdown() for table in self.tables()]
        return "\n\n".join([heading, *said, *measured, *tables, "\n".join([*commands, "```"])]) + "\n"


def peer_device(device):
    """What torch calls the device: a GPU of wgpu is taken for the first card of CUDA; None if torch has no such device."""
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return "cpu"
    return f"cuda:{number or 0}" if kind == "cuda" else "cuda:0" if kind == "wgpu" else None


def complete_lines(metrics):
    """The lines of a metrics file whose writer may have been ended in the middle of one."""
    if not metrics.exists():
        return []
    text = metrics.read_text(encoding="utf-8")
    whole = metrics.with_suffix(".whole")
    whole.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    return read_jsonl(whole)


def shares(reached, dtype, peaks, data_sheet):
    """Parts of what products reach here, and of the data sheet's number."""
    name = dtype if dtype != "f32" or "tf32" not in peaks else "tf32"
    found = {"of": name, "measured": reached / peaks[name] if name in peaks else None}
    sheet = data_sheet.get(name, data_sheet.get(dtype))
    return found | {"data_sheet": reached / (sheet * 1e12) if sheet else None}


def percent(part):
    return "-" if part is None else f"{100 * part:.1f} %"


def in_short(one):
    if "failed" in one:
        return f"FAILED: {one['failed'].strip().splitlines()[-1]}"
    return ", ".join(f"{key} {one[key]:.4g}" for key in ("tokens_per_second", "step", "device_mb", "host_mb", "first_step") if one.get(key) is not None)


def data_sheet(text):
    """`f32=67,bf16=989`: TFLOP/s by the type."""
    return {name: float(value) for name, _, value in (part.partition("=") for part in text.split(","))} if text else {}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peft-binary", type=Path, default=built(), help="built with --features cuda, or vulkan")
    parser.add_argument("--work", type=Path, required=True, help="models (2.5 GB, 1.5 GB and less) and rows are made here, once")
    parser.add_argument("--device", help="as peft has it; default: cuda, with --small cpu")
    parser.add_argument("--python", help="of the peer, with torch, transformers and peft; default: the one that runs this")
    parser.add_argument("--minutes", type=float, default=10.0, help="after which nothing runs any more, but for what it takes to write")
    parser.add_argument("--small", action="store_true", help="tiny models and two steps, to see that all of it works")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="only settings with this in their name")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--length", type=int, help="tokens of a row")
    parser.add_argument("--target", type=int, help="of T5: tokens of a target")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--product", type=int, help="sizes of the matrices whose product is the peak")
    parser.add_argument("--data-sheet", type=data_sheet, default={}, metavar="TYPE=TFLOPS,...", help="the card's, as f32=67,tf32=495,bf16=989")
    parser.add_argument("--card", type=int, help="its number for NVML; default: that of --device, else 0")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=Path, help="JSON; default: gpu.json in the work folder")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="default: beside the JSON")
    args = parser.parse_args()
    args.device = args.device or ("cpu" if args.small else "cuda")
    usual = {"batch_size": (16, 2), "length": (256, 8), "target": (64, 4), "steps": (20, 2), "product": (8192, 256)}
    for name, (full, small) in usual.items():
        if getattr(args, name) is None:
            setattr(args, name, small if args.small else full)
    args.warm_up = min(5, args.steps // 2)
    number = args.device.partition(":")[2]
    if args.card is None:
        args.card = int(number) if number.isdigit() else 0
    args.peft_binary = args.peft_binary.resolve()
    if not args.peft_binary.is_file():
        parser.error(f"{args.peft_binary} is not there: cargo build --release -p peft-cli --features cuda")
    return args


def main():
    args = arguments()
    race = GpuRace(args)
    is_right = race.all()
    for table in race.tables():
        print(table.text())
    print(f"{time.perf_counter() - race.begin:.0f} s; results in {args.results or race.work / 'gpu.json'}")
    if not is_right or race.report["selftest"].get("right") is False:
        sys.exit("something failed, see above")


if __name__ == "__main__":
    main()
