"""Writes tests/vectors/gguf: blocks of every type with the values that the package `gguf` makes of them.

    python3 tests/python/make_gguf.py

Needs gguf, numpy and safetensors.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from safetensors.numpy import save_file

OUT = Path(__file__).parent.parent / "vectors" / "gguf"

TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Where the scales of half precision are in a block: they must be finite, the other bytes may be anything.
SCALES = {
    "F16": [0], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}  # fmt: skip
VALUES = 512


def blocks(name: str, rng: np.random.Generator) -> np.ndarray:
    """Random blocks of a type, with scales of all magnitudes and signs, and subnormal ones."""
    size, bytes_ = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = VALUES // size
    made = rng.integers(0, 256, (count, bytes_), dtype=np.uint8)
    for at in SCALES[name]:
        scale = (rng.standard_normal(count) * 10.0 ** rng.integers(-7, 3, count)).astype(np.float16)
        made[:, at : at + 2] = scale.view(np.uint8).reshape(count, 2)
    if name == "BF16":
        # No NaN and no infinity.
        made[:, 1] &= 0xBF
    return made


def main() -> None:
    rng = np.random.default_rng(11)
    tensors = {}
    for name in TYPES:
        made = blocks(name, rng).reshape(-1)
        values = gguf.dequantize(made, GGMLQuantizationType[name])
        assert values.shape == (VALUES,) and np.isfinite(values).all(), name
        tensors[f"{name}.bytes"] = made
        tensors[f"{name}.values"] = np.ascontiguousarray(values)
    OUT.mkdir(exist_ok=True)
    save_file(tensors, OUT / "blocks.safetensors")


if __name__ == "__main__":
    main()
