"""What the program shows, on terminals of several widths and in a pipe: docs/SCREENS.md.

    python3 tests/python/make_screens.py [PROGRAM]

PROGRAM is target/release/peft if nothing else is said. Python alone is needed: the terminals are pseudo-terminals, and
`Screen` below draws what is written to them as far as the program goes (lines, colours left out, the cursor up and down,
lines that are cleared). Times and rates differ from run to run.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COLUMNS = [60, 80, 120]
# What is said does not depend on the network.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HOME": "/cache"}
ROWS = 50

TRAIN = "peft train --model try/model --method prompt --task causal-lm --train try/train.jsonl --valid try/test.jsonl --out try/run --epochs 8 --batch-size 16 --lr 0.2"
EVAL = "peft eval --model try/model --adapter try/run --data try/many.jsonl"
ERRORS = [
    "peft train --model try/modle --method prompt --task causal-lm --train try/train.jsonl --out try/other",
    "peft eval --model try/model --adapter try/run --data try/broken.jsonl",
    "peft train --model try/model --method prefix --max-lenght 12",
]
HELP = "peft train --help"
# Lines of the help that are shown.
HEAD = 30


class Screen:
    """The lines that a terminal of so many columns shows, without colours."""

    CODE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[()][A-Z0-9]|\x1b[=>]")

    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column = columns, [""], 0, 0

    def feed(self, text):
        at = 0
        while at < len(text):
            code = self.CODE.match(text, at)
            if code:
                self.control(code.group(1) or "", code.group(2) or "")
                at = code.end()
                continue
            self.put(text[at])
            at += 1

    def control(self, number, name):
        count = int(number) if number.isdigit() else 1
        if name == "A":
            self.row = max(0, self.row - count)
        elif name == "B":
            self.row += count
        elif name in ("K", "J"):
            line = self.line()
            self.lines[self.row] = line[: self.column] if number in ("", "0") else ""
            if name == "J":
                del self.lines[self.row + 1 :]
        elif name == "G":
            self.column = count - 1

    def line(self):
        while len(self.lines) <= self.row:
            self.lines.append("")
        return self.lines[self.row]

    def put(self, letter):
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self.row, self.column = self.row + 1, 0
            self.line()
        elif letter >= " ":
            if self.column == self.columns:
                self.row, self.column = self.row + 1, 0
            line = self.line().ljust(self.column)
            self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
            self.column += 1

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip()


def on_terminal(command, columns, folder, program, moment=None):
    """The screen at the end, and at the first moment at which it shows what `moment` finds."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        environment = {**os.environ, **OFFLINE, "TERM": "xterm-256color"}
        os.execve(program, command.split(), environment)
    screen, then, rest = Screen(columns), None, b""
    while True:
        select.select([terminal], [], [], 60)
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        rest += piece
        # What ends within a letter or a code of the terminal waits for the next piece.
        whole = len(rest)
        last = rest.rfind(b"\x1b")
        if last >= 0 and not re.match(rb"\x1b\[[0-9;?]*[A-Za-z]", rest[last:]):
            whole = last
        try:
            text = rest[:whole].decode()
        except UnicodeDecodeError:
            continue
        rest = rest[whole:]
        screen.feed(text)
        if moment and then is None and re.search(moment, screen.text()):
            then = screen.text()
    os.waitpid(pid, 0)
    return screen.text(), then


def in_pipe(command, folder, program):
    """What is written on both streams, in the order in which it comes."""
    done = subprocess.run(
        [program, *command.split()[1:]],
        cwd=folder,
        env={**os.environ, **OFFLINE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).rstrip()


def block(command, text):
    return f"```text\n$ {command}\n{text}\n```\n"


def main():
    program = str(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/peft").resolve())
    page = [HEADER]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "demo", "--export", "try"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        rows = (Path(folder) / "try/test.jsonl").read_text().splitlines()
        (Path(folder) / "try/broken.jsonl").write_text("\n".join(rows[:2] + [rows[2][:-2]]) + "\n")
        many = (Path(folder) / "try/train.jsonl").read_text() * 20
        (Path(folder) / "try/many.jsonl").write_text(many)
        run = Path(folder) / "try/run"

        def again():
            subprocess.run(["rm", "-rf", str(run)], check=True)

        page.append("## Training\n")
        page.append(f"```sh\n{TRAIN}\n```\n")
        for columns in COLUMNS:
            again()
            end, middle = on_terminal(TRAIN, columns, folder, program, r"prompt\s+[23]\d\d/504")
            page.append(f"{columns} columns, while it runs:\n\n```text\n{middle}\n```\n")
            page.append(f"and at its end:\n\n```text\n{end}\n```\n")
        again()
        page.append(f"In a pipe:\n\n```text\n{in_pipe(TRAIN, folder, program)}\n```\n")

        page.append("## Evaluation\n")
        for columns in COLUMNS:
            end, middle = on_terminal(EVAL, columns, folder, program, r" [89] \d{3} of 20 000 rows")
            page.append(f"{columns} columns, while it runs:\n\n```text\n{middle}\n```\n")
            page.append(f"and at its end:\n\n{block(EVAL, end)}")
        page.append(f"In a pipe:\n\n{block(EVAL, in_pipe(EVAL, folder, program))}")

        page.append("## Errors\n")
        for command in ERRORS:
            shown = {}
            for columns in COLUMNS:
                shown.setdefault(on_terminal(command, columns, folder, program)[0], []).append(f"{columns} columns")
            shown.setdefault(in_pipe(command, folder, program), []).append("a pipe")
            for text, places in shown.items():
                page.append(f"{', '.join(places)}:\n\n{block(command, text)}")

        page.append("## Help\n")
        shown = {}
        for columns in COLUMNS:
            text = on_terminal(HELP, columns, folder, program)[0]
            shown.setdefault("\n".join(text.splitlines()[:HEAD]), []).append(f"{columns} columns")
        text = in_pipe(HELP, folder, program)
        shown.setdefault("\n".join(text.splitlines()[:HEAD]), []).append("a pipe")
        for text, places in shown.items():
            page.append(f"{', '.join(places)}:\n\n{block(HELP, text + chr(10) + '...')}")
    (ROOT / "docs/SCREENS.md").write_text("\n".join(page))


HEADER = """# Screens

What a person sees of the program, as text: on terminals of 60, 80 and 120 columns, and in a pipe (or a log). Colours are left out.
Everything is of real runs on the demo's files, of the program as it was when this page was last made: a later one may word a line otherwise. After
`cargo build --release -p peft-cli`, `python3 tests/python/make_screens.py` makes the page anew.
"""


if __name__ == "__main__":
    main()
