"""HDF5 files with one data set of vectors and one of texts."""
import argparse
import pathlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from .errors import ConversionError
from .output import Output

BYTES_AT_A_TIME = 16 << 20
VECTORS = ("features", "embeddings", "vectors")
TEXTS = ("captions", "names", "texts")
IDENTITIES = ("image_ids", "ids")


def convert(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the data sets of `options.file` to `options.output`."""
    path: pathlib.Path = options.file
    try:
        with h5py.File(path, "r") as file:
            return convert_file(file, options)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise ConversionError(f"{path}: cannot be read as HDF5: {error}") from None


def convert_file(file: h5py.File, options: argparse.Namespace) -> dict[str, Any]:
    sets = data_sets(file)
    vectors = chosen(sets, options.vectors, VECTORS, "--vectors")
    texts = chosen(sets, options.texts, TEXTS, "--texts")
    ids = chosen(sets, options.ids, IDENTITIES, "--ids") if options.ids or set(sets) & set(IDENTITIES) else None
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or vectors.dtype.itemsize > 8 or 0 in vectors.shape:
        raise ConversionError(f"{vectors.name} is {shown(vectors)}, expected floats [n, dim]")
    if vectors.id.get_storage_size() == 0:
        raise ConversionError(f"{vectors.name} is {shown(vectors)}, but nothing was ever written to it")
    count, dim = vectors.shape
    for column in (texts, ids):
        if column is not None and column.shape not in ((count,), (count, 1)):
            raise ConversionError(f"{column.name} is {shown(column)}, expected [{count}] as many as {vectors.name}")
    if h5py.check_string_dtype(texts.dtype) is None:
        raise ConversionError(f"{texts.name} is {shown(texts)}, expected texts")
    if ids is not None and ids.dtype.kind not in "iu" and h5py.check_string_dtype(ids.dtype) is None:
        raise ConversionError(f"{ids.name} is {shown(ids)}, expected texts or whole numbers")
    step = max(1, BYTES_AT_A_TIME // (dim * vectors.dtype.itemsize))
    more = {"source": options.source} if options.source else {}
    with Output(options.output, dim=dim, half=vectors.dtype.itemsize == 2, total=count, force=options.force) as output:
        for start in range(0, count, step):
            part = vectors[start:start + step]
            rows = [{"text": text} | more for text in values(texts, start, len(part))]
            if ids is not None:
                for row, identity in zip(rows, values(ids, start, len(part))):
                    row["image_id"] = identity
            output.add(rows, part)
    return output.summary(datasets={"vectors": vectors.name, "texts": texts.name, "ids": ids.name if ids else None})


def data_sets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The data sets that lie in the file itself: none behind a link to another, nor with data elsewhere."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external:
            found[name] = item

    file.visititems(visit)
    return found


def chosen(sets: dict[str, h5py.Dataset], wanted: str | None, usual: Sequence[str], option: str) -> h5py.Dataset:
    for name in [wanted.strip("/")] if wanted else usual:
        if name in sets:
            return sets[name]
    asked = repr(wanted) if wanted else " or ".join(usual)
    there = "".join(f"\n  {name}  {shown(item)}" for name, item in list(sets.items())[:100]) or " none"
    raise ConversionError(f"no data set {asked} ({option}); there are:{there}")


def shown(item: h5py.Dataset) -> str:
    kind = "text" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
    return f"{kind} {list(item.shape) if item.shape is not None else 'without numbers'}"


def values(column: h5py.Dataset, start: int, count: int) -> list[Any]:
    """Texts, or numbers, as Python has them."""
    part = np.ravel(column[start:start + count])
    try:
        return [item.decode("utf-8") if isinstance(item, bytes) else item for item in part.tolist()]
    except UnicodeDecodeError as error:
        raise ConversionError(f"{column.name}: rows {start} to {start + count}: not UTF-8: {error}") from None
