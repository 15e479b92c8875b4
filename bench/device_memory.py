"""The memory of an NVIDIA card in use, by all programs together, as NVML (the library of the driver that nvidia-smi calls) tells it.

    with Watch(card=0) as watch:
        ...
    watch.peak_mb  # the most that was in use meanwhile, above what was before; None without NVML

The context that CUDA makes for a process counts: some hundred MB, on both sides of a race alike.
"""

import ctypes
import threading

LIBRARY = "libnvidia-ml.so.1"
POLL_SECONDS = 0.01


class Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class Card:
    """A card by its number in NVML's order; raises OSError where there is none."""

    def __init__(self, number):
        self.library = ctypes.CDLL(LIBRARY)
        self.handle = ctypes.c_void_p()
        self.call("nvmlInit_v2")
        self.call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(number), ctypes.byref(self.handle))

    def call(self, name, *arguments):
        if code := getattr(self.library, name)(*arguments):
            raise OSError(f"{name} returned {code}")

    def used_mb(self):
        memory = Memory()
        self.call("nvmlDeviceGetMemoryInfo", self.handle, ctypes.byref(memory))
        return memory.used / 1e6


class Watch:
    def __init__(self, number):
        try:
            self.card = Card(number)
        except OSError:
            self.card = None
        self.peak_mb = None

    def __enter__(self):
        self.peak_mb = None
        if self.card:
            self.before, self.most = self.card.used_mb(), 0.0
            self.ended = threading.Event()
            self.thread = threading.Thread(target=self.poll, daemon=True)
            self.thread.start()
        return self

    def poll(self):
        while not self.ended.wait(POLL_SECONDS):
            self.most = max(self.most, self.card.used_mb())

    def __exit__(self, *_):
        if self.card:
            self.ended.set()
            self.thread.join()
            self.peak_mb = max(0.0, self.most - self.before)
