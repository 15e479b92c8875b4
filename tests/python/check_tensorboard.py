"""TensorBoard reads the event files of a run, and its protobuf writes the messages that our tests expect.

    pip install tensorboard==2.20.0
    python tests/python/check_tensorboard.py RUN

RUN is the folder of a run that was trained with --tensorboard. Without one, only the messages are printed, as
`peft-cli/src/tensorboard/event.rs` has them.
"""

import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2


def messages():
    """The messages of the unit test, in hexadecimal."""
    value = summary_pb2.Summary.Value
    loss = summary_pb2.Summary(
        value=[value(tag="train/loss", simple_value=0.5), value(tag="lr", simple_value=2.0)]
    )
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    for event in [
        event_pb2.Event(wall_time=1.5, file_version="brain.Event:2"),
        event_pb2.Event(wall_time=1.5, step=300, summary=loss),
        event_pb2.Event(wall_time=1.5, step=7, session_log=start),
    ]:
        yield event.SerializeToString().hex()


def lines(path, key):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["step"], row[key]) for row in rows]


def compare(run):
    """Compares every curve with the lines of the run."""
    found = EventAccumulator(str(run / "tensorboard"))
    found.Reload()
    tags = found.Tags()["scalars"]
    expected = {"train/loss": ("metrics.jsonl", "loss"), "train/lr": ("metrics.jsonl", "lr")}
    for tag in tags:
        if tag.startswith("valid/"):
            expected[tag] = ("evaluations.jsonl", tag.removeprefix("valid/"))
    assert "train/grad_norm" in tags and len(expected) > 2, tags
    for tag, (file, key) in expected.items():
        curve = [(event.step, event.value) for event in found.Scalars(tag)]
        wanted = lines(run / file, key)
        assert [step for step, _ in curve] == [step for step, _ in wanted], (tag, curve[:5], wanted[:5])
        far = max(abs(a - b) / max(abs(b), 1e-30) for (_, a), (_, b) in zip(curve, wanted))
        assert far < 1e-6, (tag, far)
        print(f"{tag}: {len(curve)} steps, the same")


for message in messages():
    print(message)
for run in sys.argv[1:]:
    compare(Path(run))
