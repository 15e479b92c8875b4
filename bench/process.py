"""Runs a program and measures it from outside, in the same way whoever wrote it."""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass

POLL_SECONDS = 0.001
# Where only the end is waited for.
SLOW_POLL_SECONDS = 0.02


class Failed(RuntimeError):
    """A program that said it failed."""

    def __init__(self, message, stdout):
        super().__init__(message)
        self.stdout = stdout


class TooLong(RuntimeError):
    """A program that was ended, since it had taken as long as it might; with the seconds until its first line."""

    def __init__(self, message, first_line):
        super().__init__(message)
        self.first_line = first_line


@dataclass
class Run:
    seconds: float  # from start to exit
    cpu_seconds: float  # of all threads
    others: float  # cores that other programs kept busy meanwhile
    peak_mb: float  # largest resident memory
    first_line: float | None  # from start to the first line in the file that was watched
    stdout: str


def environment(threads):
    """The same number of threads for everything that computes or tokenises."""
    names = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    quiet = {"PYTHONWARNINGS": "ignore", "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **dict.fromkeys(names, str(threads)), **quiet}


def busy_seconds():
    """Busy seconds of all cores together since the machine started, time stolen by a host included; Linux only."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run(command, threads, watch=None, limit=None):
    """Runs to the end; `watch` is a file, not yet there, that the program writes lines to; `limit` are seconds after which it is ended.

    The kernel counts this process's own memory as the child's until the child is loaded, so this one has to stay small: it never
    imports torch.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start, busy = time.perf_counter(), busy_seconds()
        child = subprocess.Popen([str(part) for part in command], env=environment(threads), stdout=stdout, stderr=stderr)
        first_line = usage = None
        is_late = False
        while not usage and not is_late and (limit or (watch and not first_line)):
            awaits_line = watch and not first_line
            time.sleep(POLL_SECONDS if awaits_line else SLOW_POLL_SECONDS)
            if awaits_line and watch.exists() and watch.stat().st_size:
                first_line = time.perf_counter() - start
            ended, status, found = os.wait4(child.pid, os.WNOHANG)
            usage = found if ended else None
            is_late = not usage and limit is not None and time.perf_counter() - start > limit
        if is_late:
            child.kill()
        if not usage:
            _, status, usage = os.wait4(child.pid, 0)
        seconds, busy = time.perf_counter() - start, busy_seconds() - busy
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if is_late:
        raise TooLong(f"ended after {limit:.0f} s", first_line)
    if child.returncode:
        raise Failed(f"{' '.join(map(str, command))}\nfailed with {child.returncode}:\n{texts[1][-3000:]}", texts[0])
    cpu_seconds = usage.ru_utime + usage.ru_stime
    others = max(0.0, busy - cpu_seconds) / seconds
    return Run(seconds, cpu_seconds, others, usage.ru_maxrss * 1024 / 1e6, first_line, texts[0])
