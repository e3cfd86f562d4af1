"""What a function has OpenCV and numpy do, to be done again without the function.

The runtime overhead is what a verification takes beyond the library calls it cannot do without. Those calls are not
copied from the source, which would go out of date: they are recorded while the function runs on an image, each with the
arguments it got, and replayed in a straight line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import BuiltinFunctionType
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np


@dataclass(frozen=True)
class Call:
    """One call with its arguments.

    Attributes:
        name: for people, e.g. ``cv2.resize``.
        function: what was called.
        arguments, keywords: arrays by reference, as plain `numpy.ndarray`.
        result: what it returned, likewise.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    result: Any


def record(function: Callable[[Any], Any], image: Any) -> list[Call]:
    """Run `function` on an image and list, in order, the OpenCV functions and numpy operations that it made.

    Seen are functions of `cv2`, and functions, operators, indexing and reductions on arrays that came out of one of
    them or from the image. Not seen are plain Python, and numpy on arrays made from nothing: the calls take rather less
    than the work, so that an overhead computed from them errs on the high side.
    """
    calls: list[Call] = []
    with _recording_opencv(calls):
        function(_watched(image, calls))
    return calls


def straight_line(calls: Sequence[Call], image: Any) -> Callable[[], None]:
    """The calls as one function without a branch: each works on what earlier ones returned, which is freed after its
    last use, as in the function that was recorded. So memory and caches are used alike.

    Args:
        calls: of `record`.
        image: that they were recorded on.
    """
    line = _Line(image)
    for number, call in enumerate(calls):
        line.add(number, call)
    return line.compiled()


class _Line:
    """Source text of the calls, in which arrays are known by where they lie in memory."""

    def __init__(self, image: Any) -> None:
        self._made = {_place(image): "image"}
        self._fixed: dict[str, Any] = {"image": image}
        self._lines: list[str] = []

    def add(self, number: int, call: Call) -> None:
        """A line for a call."""
        self._fixed[f"f{number}"] = call.function
        given = [self._name(value) for value in call.arguments]
        given += [f"{name}={self._name(value)}" for name, value in call.keywords.items()]
        self._lines.append(f"r{number} = f{number}({', '.join(given)})")
        parts = call.result if isinstance(call.result, tuple) else ()
        for index, part in enumerate(parts):
            if type(part) is np.ndarray:
                self._made[_place(part)] = f"r{number}[{index}]"
        if type(call.result) is np.ndarray:
            self._made[_place(call.result)] = f"r{number}"

    def compiled(self) -> Callable[[], None]:
        """The function."""
        last = {name: at for at, line in enumerate(self._lines) for name in re.findall(r"\br\d+\b", line)}
        body = [
            f"    {line}; del {', '.join(name for name, end in last.items() if end == at)}"
            if at in last.values()
            else f"    {line}"
            for at, line in enumerate(self._lines)
        ]
        exec("\n".join(["def line():", *body, "    return None"]), self._fixed)
        made: Callable[[], None] = self._fixed["line"]
        return made

    def _name(self, value: Any) -> str:
        if type(value) in (tuple, list):
            inside = "".join(f"{self._name(part)}, " for part in value)
            return f"({inside})" if type(value) is tuple else f"[{inside}]"
        if type(value) is np.ndarray and _place(value) in self._made:
            return self._made[_place(value)]
        name = f"c{len(self._fixed)}"
        self._fixed[name] = value
        return name


def _place(array: Any) -> tuple[Any, ...]:
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


class _Watched(np.ndarray[Any, Any]):
    """An array that writes down what is done with it."""

    _calls: list[Call] | None

    def __array_finalize__(self, parent: Any) -> None:
        self._calls = getattr(parent, "_calls", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return _noted(self._calls, f"numpy.{ufunc.__name__}", getattr(ufunc, method), inputs, keywords)

    def __array_function__(self, function: Any, types: Any, arguments: Any, keywords: Any) -> Any:
        return _noted(self._calls, f"numpy.{function.__name__}", function, arguments, keywords)

    def __getitem__(self, key: Any) -> Any:
        return _noted(self._calls, "numpy indexing", np.ndarray.__getitem__, (self, key), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        _noted(self._calls, "numpy assignment", np.ndarray.__setitem__, (self, key, value), {})

    def astype(self, *arguments: Any, **keywords: Any) -> Any:
        return _noted(self._calls, "numpy.astype", np.ndarray.astype, (self, *arguments), keywords)

    def sum(self, *arguments: Any, **keywords: Any) -> Any:
        return _noted(self._calls, "numpy.sum", np.ndarray.sum, (self, *arguments), keywords)

    def any(self, *arguments: Any, **keywords: Any) -> Any:
        return _noted(self._calls, "numpy.any", np.ndarray.any, (self, *arguments), keywords)

    def all(self, *arguments: Any, **keywords: Any) -> Any:
        return _noted(self._calls, "numpy.all", np.ndarray.all, (self, *arguments), keywords)


def _noted(calls: list[Call] | None, name: str, function: Any, arguments: Any, keywords: dict[str, Any]) -> Any:
    """Make a call on plain arrays, note it, and watch what comes out."""
    arguments, keywords = _plain(tuple(arguments)), _plain(keywords)
    # What raises is not noted: a loop over an array ends with an index that is out of bounds.
    result = function(*arguments, **keywords)
    if calls is not None:
        calls.append(Call(name, function, arguments, keywords, result))
    return _watched(result, calls)


def _watched(value: Any, calls: list[Call] | None) -> Any:
    if isinstance(value, tuple):
        return tuple(_watched(part, calls) for part in value)
    if type(value) is not np.ndarray:
        return value
    view = value.view(_Watched)
    view._calls = calls
    return view


def _plain(value: Any) -> Any:
    if isinstance(value, _Watched):
        return value.view(np.ndarray)
    if type(value) in (tuple, list):
        return type(value)(_plain(part) for part in value)
    return {key: _plain(part) for key, part in value.items()} if type(value) is dict else value


@contextmanager
def _recording_opencv(calls: list[Call]) -> Iterator[None]:
    """Every function of `cv2` notes its calls for the length of the block."""
    names = [name for name in dir(cv2) if _is_function(getattr(cv2, name))]
    wrapped: dict[str, Any] = {name: _wrapped(name, getattr(cv2, name), calls) for name in names}
    with patch.multiple(cv2, **wrapped):
        yield


def _is_function(member: Any) -> bool:
    return isinstance(member, BuiltinFunctionType)


def _wrapped(name: str, function: Any, calls: list[Call]) -> Callable[..., Any]:
    return lambda *arguments, **keywords: _noted(calls, f"cv2.{name}", function, arguments, keywords)
