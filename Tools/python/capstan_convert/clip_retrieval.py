"""The output folder of clip-retrieval: parts of vectors (.npy) and of metadata (.parquet)."""
import argparse
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from .errors import ConversionError
from .output import Output

ROWS_AT_A_TIME = 4096
FOLDERS = {"text": "text_emb", "image": "img_emb"}
IDENTITIES = ("image_path", "key", "url")


def convert(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the parts in `options.folder` to `options.output`, one after the other."""
    folder: pathlib.Path = options.folder
    kind = FOLDERS[options.vectors]
    if not (folder / kind).is_dir():
        other = [name for name, path in FOLDERS.items() if (folder / path).is_dir()]
        hint = f"; it has vectors of another kind: --vectors {other[0]}" if other else ""
        raise ConversionError(f"{folder} has no folder {kind}{hint}")
    vectors = numbered(folder / kind, rf"{kind}_(\d+)\.npy")
    tables = numbered(folder / "metadata", r"metadata_(\d+)\.parquet")
    if vectors.keys() != tables.keys():
        alone = sorted(vectors.keys() ^ tables.keys())
        raise ConversionError(f"{folder}: {kind} has parts {listed(vectors)}, metadata {listed(tables)}; "
                              f"part {alone[0]} is in one of them only")
    parts = [Part(vectors[number], tables[number], options) for number in sorted(vectors)]
    first = parts[0]
    for part in parts:
        if part.array.shape[1] != first.array.shape[1]:
            raise ConversionError(f"{part.vectors}: got vectors of {part.array.shape[1]} numbers, expected "
                                  f"{first.array.shape[1]} as in {first.vectors.name}")
    total = sum(part.rows for part in parts)
    half = all(part.array.dtype.itemsize == 2 for part in parts)
    with Output(options.output, dim=first.array.shape[1], half=half, total=total, force=options.force) as output:
        for part in parts:
            for rows, array in part.chunks():
                output.add(rows, array)
    return output.summary(parts=len(parts))


def numbered(folder: pathlib.Path, pattern: str) -> dict[int, pathlib.Path]:
    """The parts in a folder by number, with leading zeros or without."""
    found: dict[int, pathlib.Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ConversionError(f"{folder}: {error.strerror}") from None
    for path in paths:
        if match := re.fullmatch(pattern, path.name, re.ASCII):
            number = int(match[1])
            if number in found:
                raise ConversionError(f"{folder}: {found[number].name} and {path.name} are both part {number}")
            found[number] = path
    if not found:
        raise ConversionError(f"{folder}: no files such as {re.sub(r'[(].*[)]', '0', pattern).replace(chr(92), '')}")
    return found


def listed(parts: dict[int, pathlib.Path]) -> str:
    return f"{min(parts)} to {max(parts)} ({len(parts)})"


class Part:
    """One part: opened, and its two files held against each other."""

    def __init__(self, vectors: pathlib.Path, table: pathlib.Path, options: argparse.Namespace) -> None:
        self.vectors = vectors
        self.table = table
        self.source: str | None = options.source
        try:
            self.array = np.lib.format.open_memmap(vectors, mode="r")
        except (ValueError, OSError, SyntaxError, OverflowError, TypeError) as error:
            raise ConversionError(f"{vectors}: not a whole .npy file of numbers: {error}") from None
        if self.array.ndim != 2 or self.array.dtype.kind != "f" or self.array.dtype.itemsize > 8:
            raise ConversionError(
                f"{vectors}: got {self.array.dtype}{list(self.array.shape)}, expected floats [n, dim]")
        try:
            with pyarrow.parquet.ParquetFile(table) as file:
                self.rows = file.metadata.num_rows
                names = file.schema_arrow.names
        except (pyarrow.ArrowException, OSError) as error:
            raise ConversionError(f"{table}: not a whole parquet file: {error}") from None
        if self.rows != len(self.array):
            raise ConversionError(
                f"{table}: {table.name} has {self.rows} rows, {vectors.name} {len(self.array)}; expected as many")
        self.caption = options.caption
        identity = [options.image_id] if options.image_id else [name for name in IDENTITIES if name in names][:1]
        for name in (self.caption, *identity):
            if name not in names:
                raise ConversionError(f"{table}: no column {name!r}; it has {', '.join(names)}")
        self.identity = identity[0] if identity else None

    def chunks(self) -> Iterator[tuple[list[dict[str, Any]], np.ndarray]]:
        columns = [self.caption] + ([self.identity] if self.identity else [])
        start = 0
        try:
            with pyarrow.parquet.ParquetFile(self.table) as file:
                for batch in file.iter_batches(ROWS_AT_A_TIME, columns=list(dict.fromkeys(columns))):
                    captions = batch.column(self.caption).to_pylist()
                    identities = batch.column(self.identity).to_pylist() if self.identity else [None] * len(captions)
                    rows = [self.row(*pair) for pair in zip(captions, identities)]
                    yield rows, self.array[start:start + len(rows)]
                    start += len(rows)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ConversionError(f"{self.table}: row {start}: {error}") from None
        if start != self.rows:
            raise ConversionError(f"{self.table}: got {start} rows, expected {self.rows}")

    def row(self, caption: object, identity: object) -> dict[str, Any]:
        """A row without a caption is kept: the import rejects it, and counts it."""
        row: dict[str, Any] = {"text": caption if isinstance(caption, str) else None}
        if identity is not None and identity != "":
            row["image_id"] = identity if isinstance(identity, str) else str(identity)
        if self.source:
            row["source"] = self.source
        return row
