"""Reads Python pickles as plain data: nothing in a pickle is ever called.

A pickle is a program for a small stack machine. This is such a machine with only the instructions that data needs
(lists, tuples, dicts, texts, numbers, bytes) and, in place of Python's objects, stand-ins chosen by the caller for the
few names that it knows. Every other instruction or name is refused with its position before anything follows it.
"""
import pickletools
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from .errors import ConversionError

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Malformed(ConversionError):
    """The bytes are not a whole pickle."""


class Refused(ConversionError):
    """The pickle asks for something that data does not need."""


@dataclass(frozen=True)
class Name:
    """A known name, such as `torch.FloatStorage`, that a pickle may mention."""

    text: str


class Built(Protocol):
    """A stand-in that takes its state in a second step."""

    def build(self, state: object) -> None: ...


class Budget:
    """Bytes that reading a file may make in all: a small pickle can name the same bytes a million times."""

    def __init__(self, limit: int) -> None:
        self.left = self.limit = limit

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Refused(f"it unfolds to more than {self.limit} bytes, far more than the file has")


@dataclass(frozen=True)
class Vocabulary:
    """What a pickle may say beyond plain data."""

    calls: Mapping[str, Callable[..., object]]
    names: Set[str] = frozenset()
    persistent: Callable[[object], object] | None = None


class PickleReader:
    """Reads the pickle that begins at a file's position, and leaves the file at its end."""

    def __init__(self, file: BinaryIO, vocabulary: Vocabulary, where: str) -> None:
        self.file = file
        self.vocabulary = vocabulary
        self.where = where
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        """Raises Malformed or Refused, with the position of the byte."""
        position = start = self.file.tell()
        name = "its beginning"
        try:
            for opcode, argument, found in pickletools.genops(self.file):
                position, name = found if found is not None else position, opcode.name
                if name == "STOP":
                    value, = self.stack
                    if self.marked:
                        raise ValueError("a mark is left open")
                    return value
                self.step(name, argument)
        except (Malformed, Refused) as error:
            raise type(error)(f"{self.where}: byte {position}: {error}") from None
        except (ValueError, TypeError, LookupError, OverflowError, AttributeError, RecursionError) as error:
            after = f"after byte {position} ({name})" if position != start else f"at byte {start}"
            raise Malformed(f"{self.where}: not a whole pickle {after}: {error}") from None
        raise Malformed(f"{self.where}: the pickle has no end")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in TUPLES:
            items = self.take(TUPLES[name])
            stack.append(tuple(items))
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            self.marked.append(stack)
            self.stack = []
        elif name == "TUPLE":
            items = self.pop_marked()
            self.stack.append(tuple(items))
        elif name in ("EMPTY_LIST", "LIST"):
            items = self.pop_marked() if name == "LIST" else []
            self.stack.append(items)
        elif name in ("APPEND", "APPENDS"):
            items = self.pop_marked() if name == "APPENDS" else self.take(1)
            self.top(list).extend(items)
        elif name in ("EMPTY_DICT", "DICT"):
            items = self.pop_marked() if name == "DICT" else []
            self.stack.append({})
            self.set_items(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self.pop_marked() if name == "SETITEMS" else self.take(2)
            self.set_items(items)
        elif name == "GLOBAL":
            stack.append(self.known(".".join(argument.split(" ", 1))))
        elif name == "STACK_GLOBAL":
            module, attribute = self.take(2)
            if not isinstance(module, str) or not isinstance(attribute, str):
                raise Malformed("STACK_GLOBAL without two texts")
            stack.append(self.known(f"{module}.{attribute}"))
        elif name == "REDUCE":
            called, arguments = self.take(2)
            if not isinstance(called, Name) or called.text not in self.vocabulary.calls:
                raise Refused("REDUCE would call something that is not a known rebuilder")
            if not isinstance(arguments, tuple):
                raise Malformed(f"REDUCE of {called.text} without a tuple of arguments")
            stack.append(self.vocabulary.calls[called.text](*arguments))
        elif name == "BUILD":
            state, = self.take(1)
            build = getattr(type(stack[-1]), "build", None)
            if build is None:
                raise Refused("BUILD would set the state of something that has none")
            build(stack[-1], state)
        elif name == "BINPERSID" and self.vocabulary.persistent:
            identity, = self.take(1)
            stack.append(self.vocabulary.persistent(identity))
        elif name not in ("PROTO", "FRAME"):
            raise Refused(f"the instruction {name} is not needed for data, and is not carried out")

    def known(self, text: str) -> Name:
        if text not in self.vocabulary.calls and text not in self.vocabulary.names:
            raise Refused(f"the name {text[:200]!r} is not needed for data, and is neither loaded nor called")
        return Name(text)

    def take(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise Malformed("too few values on the stack")
        items = self.stack[len(self.stack) - count:]
        del self.stack[len(self.stack) - count:]
        return items

    def pop_marked(self) -> list[Any]:
        if not self.marked:
            raise Malformed("no mark on the stack")
        items, self.stack = self.stack, self.marked.pop()
        return items

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise Malformed(f"expected a {kind.__name__} on the stack")
        return self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        target = self.top(dict)
        if len(items) % 2:
            raise Malformed("a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            if not isinstance(key, (str, int, bytes)):  # a deeply nested tuple would exhaust the stack in its hash
                raise Refused(f"a dict's key is a {type(key).__name__}, expected a text, a number or bytes")
            target[key] = value
