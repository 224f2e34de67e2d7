"""Pickles of torch, read without running them.

A pickle is a program for a stack machine. The one here knows the instructions that build plain
containers; the only "calls" are the functions of the module `_torch_globals` beside it, so that no
file can reach any other code. It is no subclass of `pickle.Unpickler`, which a hostile file can
stop without any call: by an index of its memo that is billions large, or by a key that is a tuple
of tuples of tuples and takes for ever to hash.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import IO, Any, NamedTuple

from solvq.checkpoint.source._base import reason
from solvq.checkpoint.source._torch_globals import Inert, call, fill, find
from solvq.checkpoint.source._torch_tensors import Storage, make_storage
from solvq.files import FormatError

PLAIN = frozenset({
    "INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
})  # instructions that push their argument  # fmt: skip
BROKEN = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


class Pickled(NamedTuple):
    """Object of a pickle, and the storages that it mentions, each as it did first."""

    root: Any
    storages: dict[str, Storage]


def read_pickle(file: IO[bytes]) -> Pickled:
    """Object of a pickle: plain containers and values, `Tensor`, and `Inert` for the rest.

    Raises
    ------
    FormatError
        If the pickle is damaged or asks for a name that is not allowed.
    """
    machine = _Machine()
    try:
        for instruction, argument, _ in pickletools.genops(file):
            if instruction.name in PLAIN:
                machine.stack.append(argument)
            elif instruction.name not in _ACTIONS:
                raise FormatError(f"its pickle has the instruction {instruction.name}, not allowed")
            else:
                _ACTIONS[instruction.name](machine, argument)
        (result,) = machine.stack
    except FormatError:
        raise
    except BROKEN as error:
        raise FormatError(f"its pickle is damaged ({reason(error)})") from None
    return Pickled(result, machine.storages)


class _Machine:
    """Stack, marks and memo of a pickle that is being read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def mark(self) -> None:
        """Begin a new stack upon the one so far."""
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        """Everything pushed since the last mark, which is taken away."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def last(self, count: int) -> list[Any]:
        """The uppermost objects, which are taken away."""
        items = [self.stack.pop() for _ in range(count)]
        return items[::-1]

    def push(self, value: Any) -> None:
        """Put an object on the stack."""
        self.stack.append(value)

    def remember(self, key: int | None) -> None:
        """Give the uppermost object a number."""
        self.memo[len(self.memo) if key is None else key] = self.stack[-1]

    def extend(self, items: list[Any]) -> None:
        """Append to the list on top; what stands in place of another object holds nothing."""
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Inert):
            raise FormatError("its pickle appends to what is no list")

    def update(self, items: list[Any]) -> None:
        """Set keys and values, one after the other, of the dictionary on top."""
        target = self.stack[-1]
        if isinstance(target, dict):
            fill(target, zip(items[::2], items[1::2], strict=True))
        elif not isinstance(target, Inert):
            raise FormatError("its pickle sets keys of what is no dictionary")

    def frozen_set(self) -> None:
        """Replace items by what stands for a set of them."""
        self.since_mark()
        self.push(Inert())

    def call(self) -> None:
        """Replace a function and its arguments by the result."""
        function, args = self.last(2)
        self.push(call(function, args))

    def new_dict(self, items: list[Any]) -> None:
        """Push a dictionary of keys and values."""
        self.push({})
        self.update(items)

    def refer(self) -> None:
        """Replace the identity of a storage by the storage."""
        storage = make_storage(self.stack.pop())
        self.storages.setdefault(storage.key, storage)
        self.push(storage)

    def stack_global(self) -> None:
        """Replace a module and a name by what they stand for."""
        module, name = self.last(2)
        if type(module) is not str or type(name) is not str:
            raise FormatError("its pickle asks for a name that is no text")
        self.push(find(f"{module}.{name}"))


Action = Callable[[_Machine, Any], Any]
_ACTIONS: dict[str, Action] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "STOP": lambda m, _: None,
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "MARK": lambda m, _: m.mark(),
    "POP": lambda m, _: m.last(1),
    "POP_MARK": lambda m, _: m.since_mark(),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE1": lambda m, _: m.push(tuple(m.last(1))),
    "TUPLE2": lambda m, _: m.push(tuple(m.last(2))),
    "TUPLE3": lambda m, _: m.push(tuple(m.last(3))),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "APPEND": lambda m, _: m.extend(m.last(1)),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "DICT": lambda m, _: m.new_dict(m.since_mark()),
    "SETITEM": lambda m, _: m.update(m.last(2)),
    "SETITEMS": lambda m, _: m.update(m.since_mark()),
    "EMPTY_SET": lambda m, _: m.push(Inert()),
    "ADDITEMS": lambda m, _: m.since_mark(),
    "FROZENSET": lambda m, _: m.frozen_set(),
    "PUT": lambda m, key: m.remember(key),
    "BINPUT": lambda m, key: m.remember(key),
    "LONG_BINPUT": lambda m, key: m.remember(key),
    "MEMOIZE": lambda m, _: m.remember(None),
    "GET": lambda m, key: m.push(m.memo[key]),
    "BINGET": lambda m, key: m.push(m.memo[key]),
    "LONG_BINGET": lambda m, key: m.push(m.memo[key]),
    "GLOBAL": lambda m, name: m.push(find(name.replace(" ", ".", 1))),
    "STACK_GLOBAL": lambda m, _: m.stack_global(),
    "REDUCE": lambda m, _: m.call(),
    "NEWOBJ": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.last(1),
    "BINPERSID": lambda m, _: m.refer(),
}
