"""Reads the files of `pickle.dump` and `torch.save` that hold tensors, arrays, texts and lists, without PyTorch.

    pickle      one pickle; a tensor's storage is a nested file in one of the forms below, as bytes
    zip         `torch.save`: a ZIP archive, uncompressed, with data.pkl, byteorder, and data/0, data/1, ...: storages
    legacy      `torch.save` before PyTorch 1.6, and inside pickles to this day: five pickles in a row (a magic number,
                a version, the machine's sizes, the value, the storages' keys), then each storage: count and numbers
"""
import io
import re
import struct
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from .pickles import Budget, Malformed, Name, PickleReader, Refused, Vocabulary

ZIP = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
BFLOAT16 = "bfloat16"
STORAGES = {"HalfStorage": "<f2", "FloatStorage": "<f4", "DoubleStorage": "<f8", "BFloat16Storage": BFLOAT16}
ARRAY_TYPE = re.compile(r"[<>=|]?(f[248]|U[1-9]\d{0,5}|O8?)")
DEEPEST = 8


def is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def is_shape(value: object) -> bool:
    return isinstance(value, tuple) and len(value) <= DEEPEST and all(map(is_count, value))


def product(shape: Sequence[int]) -> int:
    result = 1
    for size in shape:
        result *= size
    return result


@dataclass
class Storage:
    """A flat buffer of numbers that tensors are views of; its bytes may come after the pickle."""

    dtype: str
    count: int
    data: bytes | memoryview | None = None

    @property
    def itemsize(self) -> int:
        return 2 if self.dtype == BFLOAT16 else np.dtype(self.dtype).itemsize

    @property
    def size(self) -> int:
        return self.count * self.itemsize

    def numbers(self) -> np.ndarray:
        """The numbers; those of bfloat16 as their 16 bits."""
        if self.data is None or len(self.data) != self.size:
            raise Malformed(f"a storage has {len(self.data or b'')} bytes, expected {self.size}")
        return np.frombuffer(self.data, "<u2" if self.dtype == BFLOAT16 else self.dtype)


@dataclass(frozen=True)
class Tensor:
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, budget: Budget) -> np.ndarray:
        """The numbers, once the view is known to lie inside the storage; bfloat16 becomes float32."""
        numbers = self.storage.numbers()
        total = product(self.shape)
        if total == 0:
            raise Malformed(f"a tensor of shape {self.shape} has no numbers")
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
        if last >= self.storage.count or total > self.storage.count:
            raise Malformed(f"a tensor of shape {self.shape}, strides {self.strides} and offset {self.offset} does not "
                            f"lie in its storage of {self.storage.count} numbers")
        budget.spend(total * self.storage.itemsize)
        steps = [stride * self.storage.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset:], self.shape, steps, writeable=False)
        return (view.astype("<u4") << 16).view("<f4") if self.storage.dtype == BFLOAT16 else view


class ArrayType:
    """Stands in for numpy.dtype: 16, 32 and 64-bit floats, texts, and lists of objects."""

    def __init__(self, text: object, *_: object) -> None:
        match = ARRAY_TYPE.fullmatch(text) if isinstance(text, str) else None
        if not match:
            raise Refused(f"a NumPy array of type {str(text)[:40]!r}, expected f2, f4, f8, texts (U) or a list (O)")
        self.text = match[1]
        self.order = "<"

    @property
    def is_list(self) -> bool:
        return self.text[0] == "O"

    def build(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise Refused("a NumPy type with fields")
        if state[1] not in ("<", ">", "=", "|"):
            raise Malformed("a NumPy type without a byte order")
        self.order = ">" if state[1] == ">" else "<"

    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.text)


class Array:
    """Stands in for numpy.ndarray."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] | None = None

    def build(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Malformed("a NumPy array's state is not a tuple of five")
        self.set(*state[1:])

    def set(self, shape: object, dtype: object, is_fortran: object, data: object) -> None:
        if not is_shape(shape) or not isinstance(dtype, ArrayType) or not isinstance(is_fortran, bool):
            raise Malformed("a NumPy array without a shape, a type and an order")
        if not isinstance(data, list if dtype.is_list else (bytes, bytearray)):
            raise Malformed(f"a NumPy array without its data (got {type(data).__name__})")
        self.shape, self.dtype, self.order, self.data = shape, dtype, "F" if is_fortran else "C", data

    def read(self, budget: Budget) -> np.ndarray | list[Any]:
        """The numbers; or a list, where the array is one of texts or objects."""
        if self.shape is None:
            raise Malformed("a NumPy array without its state")
        itemsize = 1 if self.dtype.is_list else self.dtype.numpy().itemsize
        if product(self.shape) * itemsize != len(self.data) or not self.data:
            raise Malformed(f"a NumPy array of shape {self.shape} and type {self.dtype.text} has {len(self.data)} "
                            f"{'objects' if self.dtype.is_list else 'bytes'}, "
                            f"expected {product(self.shape) * itemsize or 'some'}")
        if self.dtype.is_list:
            return self.data
        budget.spend(len(self.data))
        array = np.frombuffer(self.data, self.dtype.numpy()).reshape(self.shape, order=self.order)
        if self.dtype.text[0] == "f":
            return array
        if np.frombuffer(self.data, f"{self.dtype.order}u4").max() > sys.maxunicode:  # NumPy does not look
            raise Malformed("a NumPy array of texts that are not Unicode")
        return array.tolist()


class TensorFile:
    """One file, or the bytes of one inside another, and what its pickles may say."""

    def __init__(self, data: bytes, where: str, budget: Budget, *, inner: bool = False) -> None:
        self.data = data
        self.where = where
        self.budget = budget
        self.inner = inner
        self.storages: dict[str, Storage] = {}

    def read(self) -> Any:
        """The value, with Tensor and Array in it, every storage filled.

        Raises Malformed or Refused.
        """
        if self.data.startswith(ZIP):
            return self.read_zip()
        file = io.BytesIO(self.data)
        value = self.pickle(file)
        if value == LEGACY_MAGIC and type(value) is int:
            return self.read_legacy(file)
        if file.tell() != len(self.data):
            raise Malformed(f"{self.where}: {len(self.data) - file.tell()} bytes follow the pickle, which ends at byte "
                            f"{file.tell()}; expected one pickle of (features, names)")
        return value

    def pickle(self, file: BinaryIO, name: str = "", *, root: bool = False) -> Any:
        """One pickle; only the `root` of a torch file mentions storages that lie outside it."""
        calls = {} if self.inner else {
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
            "torch.storage._load_from_bytes": self.nested,
            "collections.OrderedDict": self.empty_dict,
            "_codecs.encode": self.encode,
            "numpy.dtype": ArrayType,
        }
        for core in () if self.inner else ("numpy.core", "numpy._core"):
            calls |= {f"{core}.multiarray._reconstruct": self.new_array, f"{core}.multiarray.scalar": self.scalar,
                      f"{core}.numeric._frombuffer": self.array_of_bytes}
        names = {f"torch.{storage}" for storage in STORAGES} | {"numpy.ndarray"}
        vocabulary = Vocabulary(calls, names, self.storage if root else None)
        return PickleReader(file, vocabulary, self.where + name).read()

    # The two forms of torch.save

    def read_zip(self) -> Any:
        try:
            with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
                members = {info.filename: info for info in archive.infolist()}
                pickles = [name for name in members if re.fullmatch(r"[^/]+/data\.pkl", name)]
                if len(pickles) != 1 or len(members) != len(archive.infolist()):
                    raise Malformed(f"{self.where}: a ZIP archive that is not one of torch.save: expected one "
                                    "data.pkl, and no name twice")
                folder = pickles[0].removesuffix("data.pkl")

                def member(name: str) -> bytes:
                    info = members.get(folder + name)
                    if info is None:
                        raise Malformed(f"{self.where}: the archive has no {folder}{name}")
                    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                        raise Refused(f"{self.where}: {info.filename} is compressed or encrypted; torch.save does "
                                      "neither")
                    self.budget.spend(info.file_size)
                    return archive.read(info)

                if folder + "byteorder" in members and member("byteorder") != b"little":
                    raise Refused(f"{self.where}: the numbers are not little-endian")
                value = self.pickle(io.BytesIO(member("data.pkl")), f"!{pickles[0]}", root=True)
                for key, storage in self.storages.items():
                    storage.data = member(f"data/{key}")
                return value
        except (zipfile.BadZipFile, EOFError, ValueError, LookupError, OverflowError, OSError, RuntimeError,
                struct.error) as error:
            raise Malformed(f"{self.where}: a damaged ZIP archive: {error}") from None

    def read_legacy(self, file: BinaryIO) -> Any:
        version = self.pickle(file)
        machine = self.pickle(file)
        if version != LEGACY_VERSION or not isinstance(machine, dict):
            raise Malformed(f"{self.where}: got version {version!r:.40} of torch.save, expected {LEGACY_VERSION}")
        if machine.get("little_endian") is not True:
            raise Refused(f"{self.where}: the numbers are not little-endian")
        value = self.pickle(file, root=True)
        keys = self.pickle(file)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) \
                or sorted(keys) != sorted(self.storages):
            raise Malformed(f"{self.where}: the list of storages does not name those that the tensors use")
        view = memoryview(self.data)
        for key in keys:
            storage = self.storages[key]
            start = file.tell() + 8
            count = int.from_bytes(file.read(8), "little")
            if start > len(self.data) or count != storage.count or storage.size > len(self.data) - start:
                raise Malformed(f"{self.where}: byte {start - 8}: a storage of {storage.count} numbers in a file "
                                f"that has {max(0, len(self.data) - start)} bytes left and says {count}")
            storage.data = view[start:start + storage.size]
            file.seek(start + storage.size)
        if file.tell() != len(self.data):
            raise Malformed(f"{self.where}: {len(self.data) - file.tell()} bytes follow the last storage")
        return value

    # What stands in for the names that a pickle calls

    def storage(self, identity: object) -> Storage:
        if not isinstance(identity, tuple) or not 5 <= len(identity) <= 6 or identity[0] != "storage":
            raise Malformed("a persistent id that is not a storage's")
        kind, key, _, count = identity[1:5]
        dtype = STORAGES.get(kind.text.removeprefix("torch.")) if isinstance(kind, Name) else None
        if dtype is None or not isinstance(key, str) or not is_count(count) or identity[5:] not in ((), (None,)):
            raise Refused("a storage that is not of 16, 32 or 64-bit floats")
        known = self.storages.setdefault(key, Storage(dtype, count))
        if (known.dtype, known.count) != (dtype, count) or known.size > len(self.data):
            raise Malformed(f"a storage of {count} numbers in a file of {len(self.data)} bytes")
        return known

    def tensor(self, storage: object, offset: object, shape: object, strides: object, _grad: object = None,
               hooks: object = None, metadata: object = None) -> Tensor:
        if not isinstance(storage, Storage) or not is_count(offset) or not is_shape(shape) or not is_shape(strides) \
                or len(shape) != len(strides):
            raise Malformed("a tensor without a storage, or an offset, shape or strides that are not whole or negative")
        if hooks or metadata:
            raise Refused("a tensor with hooks or metadata")
        return Tensor(storage, offset, shape, strides)

    def nested(self, data: object) -> Storage:
        if not isinstance(data, (bytes, bytearray)):
            raise Malformed("torch.storage._load_from_bytes without bytes")
        self.budget.spend(len(data))
        storage = TensorFile(bytes(data), "in a storage's own bytes", self.budget, inner=True).read()
        if not isinstance(storage, Storage):
            raise Malformed("torch.storage._load_from_bytes of something that is not a storage")
        return storage

    def encode(self, text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise Refused("_codecs.encode of something else than a text as latin1")
        self.budget.spend(len(text))
        return text.encode("latin1")

    def empty_dict(self, *arguments: object) -> dict[Any, Any]:
        if arguments:
            raise Refused("collections.OrderedDict with arguments")
        return {}

    def new_array(self, kind: object, *_: object) -> Array:
        if kind != Name("numpy.ndarray"):
            raise Refused("a NumPy array of another class")
        return Array()

    def array_of_bytes(self, data: object, dtype: object, shape: object, order: object) -> Array:
        array = Array()
        array.set(shape, dtype, order == "F", data)
        return array

    def scalar(self, dtype: object, data: object) -> str:
        if not isinstance(dtype, ArrayType) or dtype.text[0] != "U" or not isinstance(data, bytes):
            raise Refused("a NumPy scalar that is not a text")
        array = Array()
        array.set((1,), dtype, False, data)
        return array.read(self.budget)[0]
