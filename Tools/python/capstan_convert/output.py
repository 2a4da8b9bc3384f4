"""The two files that `capstan import` takes, written aside and renamed when they are whole."""
import contextlib
import json
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from .errors import ConversionError

ROWS = "rows.ndjson"
VECTORS = "vectors.npy"


def npy_header(dtype: np.dtype, rows: int, dim: int) -> bytes:
    """A NumPy 1.0 header of 128 bytes, whatever the numbers."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117).encode("ascii") + b"\n"


class Output:
    """Writes rows.ndjson and vectors.npy into a folder, row for row, in constant memory.

    Used as a context: leaving it without an error puts the files in place, leaving it with one removes every trace.
    """

    def __init__(self, folder: pathlib.Path, *, dim: int, half: bool, total: int, force: bool) -> None:
        """`half` keeps 16-bit floats, which the source must already have; `total` is for the progress."""
        self.folder = folder
        self.dim = dim
        self.dtype = np.dtype("<f2" if half else "<f4")
        self.total = total
        self.force = force
        self.rows = 0
        self.shown = time.monotonic()
        self.files: list[BinaryIO] = []

    def aside(self, name: str) -> pathlib.Path:
        return self.folder / f".{name}.{os.getpid()}.part"

    def __enter__(self) -> Self:
        try:
            existing = [name for name in (ROWS, VECTORS) if (self.folder / name).exists()]
            if existing and not self.force:
                raise ConversionError(f"{self.folder} already has {' and '.join(existing)}; --force replaces them")
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in (ROWS, VECTORS):
                self.files.append(self.aside(name).open("wb"))
            self.row_file, self.vector_file = self.files
            self.vector_file.write(npy_header(self.dtype, 0, self.dim))
        except OSError as error:
            self.remove()
            raise self.unwritable(error) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self.finish()
        except OSError as fault:
            raise self.unwritable(fault) from None
        finally:
            self.remove()

    def unwritable(self, error: OSError) -> ConversionError:
        return ConversionError(f"cannot write to {self.folder}: {error.strerror or error}")

    def add(self, rows: Iterable[dict[str, Any]], vectors: np.ndarray) -> None:
        """Appends as many rows as vectors."""
        lines = [encoded(row) for row in rows]
        if vectors.shape != (len(lines), self.dim):
            raise ConversionError(f"got vectors of shape {vectors.shape} for {len(lines)} rows of {self.dim} numbers")
        with np.errstate(over="ignore"):  # the import rejects what became infinite
            values = np.ascontiguousarray(vectors, self.dtype)
        try:
            self.vector_file.write(values.data)
            self.row_file.write(b"".join(lines))
        except OSError as error:
            raise self.unwritable(error) from None
        self.rows += len(lines)
        if time.monotonic() - self.shown >= 1:
            self.shown = time.monotonic()
            print(f"capstan-convert: {self.rows:,} of {self.total:,} rows", file=sys.stderr, flush=True)

    def finish(self) -> None:
        self.vector_file.seek(0)
        self.vector_file.write(npy_header(self.dtype, self.rows, self.dim))
        for file in self.files:
            file.flush()
            os.fsync(file.fileno())
        # New vectors never stand beside old rows: an import between the steps finds no rows, not wrong ones.
        (self.folder / ROWS).unlink(missing_ok=True)
        self.aside(VECTORS).replace(self.folder / VECTORS)
        self.aside(ROWS).replace(self.folder / ROWS)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        for file, name in zip(self.files, (ROWS, VECTORS)):
            with contextlib.suppress(OSError):  # a full disk is full once more at the end
                file.close()
            self.aside(name).unlink(missing_ok=True)

    def summary(self, **more: Any) -> dict[str, Any]:
        """What was written, and the command that comes next."""
        rows, vectors = str(self.folder / ROWS), str(self.folder / VECTORS)
        return {"rows": self.rows, "dim": self.dim, "dtype": self.dtype.name, "rows_path": rows,
                "vectors_path": vectors, **more,
                "next": f"capstan import NAME {shlex.quote(rows)} --vectors {shlex.quote(vectors)}"}


def encoded(row: dict[str, Any]) -> bytes:
    """One line of NDJSON."""
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair: the import rejects this row, by its number
        return json.dumps(row).encode() + b"\n"
