"""Writes files as PyTorch writes them, without PyTorch: the same instructions in the same order.

Small modules with PyTorch's names stand in for it while a pickle is written; the tensors are views of flat arrays.
"""
import collections
import contextlib
import io
import pickle
import sys
import types
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

STORAGE_NAMES = {"float16": "HalfStorage", "float32": "FloatStorage", "float64": "DoubleStorage",
                 "bfloat16": "BFloat16Storage"}
MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def stand_in(module: str, name: str) -> Any:
    def function(*_: object) -> None:
        raise AssertionError(f"{module}.{name} was called")

    function.__module__, function.__name__, function.__qualname__ = module, name, name
    return function


REBUILD_TENSOR = stand_in("torch._utils", "_rebuild_tensor_v2")
LOAD_FROM_BYTES = stand_in("torch.storage", "_load_from_bytes")
STORAGE_TYPES = {dtype: type(name, (), {"__module__": "torch"}) for dtype, name in STORAGE_NAMES.items()}


@contextlib.contextmanager
def torch_names() -> Iterator[None]:
    """PyTorch's modules, as far as pickles mention them."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils", "torch.storage")}
    setattr(modules["torch._utils"], "_rebuild_tensor_v2", REBUILD_TENSOR)
    setattr(modules["torch.storage"], "_load_from_bytes", LOAD_FROM_BYTES)
    for kind in STORAGE_TYPES.values():
        setattr(modules["torch"], kind.__name__, kind)
    with mock.patch.dict(sys.modules, modules):
        yield


class Storage:
    """A flat buffer, which `pickle.dump` writes as the bytes of a legacy file of its own."""

    def __init__(self, data: bytes, dtype: str, count: int) -> None:
        self.data, self.dtype, self.count = data, dtype, count

    def __reduce__(self) -> tuple[Any, ...]:
        return LOAD_FROM_BYTES, (torch_save_legacy(self),)


@dataclass
class Tensor:
    """What `pickle` sees of a tensor."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any

    def __reduce_ex__(self, protocol: int) -> tuple[Any, ...]:
        return REBUILD_TENSOR, (self.storage, self.offset, self.shape, self.strides, False, collections.OrderedDict())


def tensor(array: np.ndarray, dtype: str | None = None) -> Tensor:
    """A tensor that sees the array in C order; with dtype bfloat16, its float32 numbers cut to 16 bits."""
    array = np.ascontiguousarray(array)
    data = (array.astype("<f4").view("<u4") >> 16).astype("<u2") if dtype == "bfloat16" else array
    strides = tuple(int(stride // array.itemsize) for stride in array.strides)
    return Tensor(Storage(data.tobytes(), dtype or array.dtype.name, array.size), 0, array.shape, strides)


class Pickler(pickle.Pickler):
    """torch.save's: storages stay outside."""

    def __init__(self, file: io.BytesIO, legacy: bool) -> None:
        super().__init__(file, protocol=2)
        self.legacy = legacy
        self.storages: dict[str, Storage] = {}

    def persistent_id(self, value: object) -> Any:
        if not isinstance(value, Storage):
            return None
        key = next((key for key, known in self.storages.items() if known is value), None)
        if key is None:
            key = str(94040462134032 + len(self.storages)) if self.legacy else str(len(self.storages))
            self.storages[key] = value
        kind = STORAGE_TYPES[value.dtype]
        return ("storage", kind, key, "cpu", value.count, *([None] if self.legacy else []))


def pickle_dump(value: object, protocol: int = 4) -> bytes:
    with torch_names():
        return pickle.dumps(value, protocol)


def torch_save_legacy(value: object) -> bytes:
    """torch.save(value, _use_new_zipfile_serialization=False)"""
    file = io.BytesIO()
    with torch_names():
        for part in (MAGIC, 1001, MACHINE):
            pickle.dump(part, file, protocol=2)
        pickler = Pickler(file, legacy=True)
        pickler.dump(value)
        pickle.dump(sorted(pickler.storages), file, protocol=2)
    for key in sorted(pickler.storages):
        file.write(pickler.storages[key].count.to_bytes(8, "little") + pickler.storages[key].data)
    return file.getvalue()


def torch_save(value: object, compression: int = zipfile.ZIP_STORED) -> bytes:
    """torch.save(value)"""
    file, inner = io.BytesIO(), io.BytesIO()
    with torch_names():
        pickler = Pickler(inner, legacy=False)
        pickler.dump(value)
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", inner.getvalue())
        archive.writestr("archive/byteorder", "little")
        for key, storage in pickler.storages.items():
            archive.writestr(f"archive/data/{key}", storage.data)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()
