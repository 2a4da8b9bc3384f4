"""EVCap's memory: a pickle of (features, names)."""
import argparse
import pathlib
from typing import Any

import numpy as np

from .errors import ConversionError
from .output import Output
from .pickles import Budget
from .tensors import Array, Tensor, TensorFile

ROWS_AT_A_TIME = 1024


def convert(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the memory in `options.file` to `options.output`."""
    features, names = read(options.file)
    count, dim = features.shape[0], features.shape[-1]
    queries = features.shape[1] if features.ndim == 3 else 1
    half = features.dtype.itemsize == 2 and features.ndim == 2
    more = {"source": options.source} if options.source else {}
    with Output(options.output, dim=dim, half=half, total=count, force=options.force) as output:
        for start in range(0, count, ROWS_AT_A_TIME):
            part = features[start:start + ROWS_AT_A_TIME]
            if part.ndim == 3:
                part = part.mean(axis=1, dtype="float64")
            output.add(({"text": name} | more for name in names[start:start + ROWS_AT_A_TIME]), part)
    return output.summary(vectors_averaged=queries)


def read(path: pathlib.Path) -> tuple[np.ndarray, list[str]]:
    """Features, [n, dim] or [n, queries, dim], and as many names."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConversionError(f"{path}: {error.strerror}") from None
    if data.startswith(b"version https://git-lfs"):
        raise ConversionError(f"{path}: a Git LFS pointer, not the file itself: fetch it with git lfs pull")
    if data.startswith(b"\x89HDF"):
        raise ConversionError(f"{path}: an HDF5 file, not a pickle: use capstan-convert hdf5")
    # The bytes as such, a storage's own bytes, its numbers: what is made of a file is a small multiple of it.
    budget = Budget(4 * len(data) + (1 << 16))
    pair = TensorFile(data, str(path), budget).read()
    if isinstance(pair, dict):
        pair = list(pair.values())
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise ConversionError(f"{path}: got {described(pair)}, expected (features, names)")
    try:
        features = numbers(pair[0], budget)
        if features.ndim not in (2, 3):
            raise ConversionError(f"features of shape {list(features.shape)}, expected [n, dim] or [n, 32, dim]")
        return features, texts(pair[1], features.shape[0], budget)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None


def numbers(value: object, budget: Budget) -> np.ndarray:
    """The features: one tensor or array, or a list with one for each image."""
    if isinstance(value, Tensor):
        return value.array(budget)
    if isinstance(value, Array) and isinstance(array := value.read(budget), np.ndarray):
        return array
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, (Tensor, Array)) for item in value):
        parts = [numbers(item, budget) for item in value]
        for row, part in enumerate(parts):
            if part.shape != parts[0].shape or part.dtype != parts[0].dtype:
                raise ConversionError(f"the features of image {row} are {part.dtype}{list(part.shape)}, "
                                      f"those of image 0 {parts[0].dtype}{list(parts[0].shape)}")
        return np.stack(parts)
    raise ConversionError(f"the features are {described(value)}, expected a tensor or an array of floats")


def texts(value: object, count: int, budget: Budget) -> list[str]:
    """The names, flat: batches of names and names in lists of one count alike. There must be one for each vector."""
    found: list[str] = []
    visits = 4 * count + 64

    def gather(item: object, depth: int) -> None:
        nonlocal visits
        visits -= 1
        if visits < 0 or depth > 8:
            raise ConversionError(f"the names are nested too deep, or far more than {count}")
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, Array) and isinstance(inner := item.read(budget), list):
            gather(inner, depth)
        elif isinstance(item, (list, tuple)):
            for inner in item:
                gather(inner, depth + 1)
        else:
            raise ConversionError(f"name {len(found)} is {described(item)}, expected a text")

    if isinstance(value, (list, tuple)) and len(value) != count and all(isinstance(item, str) for item in value):
        raise ConversionError(f"got {len(value)} names for {count} vectors, expected one each")
    gather(value, 0)
    if len(found) != count:
        raise ConversionError(f"got {len(found)} names for {count} vectors, expected one each")
    return found


def described(value: object) -> str:
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
