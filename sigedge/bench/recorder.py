"""What a function has OpenCV and numpy do, to be done again without the function.

The runtime overhead is what a verification takes beyond the library calls it cannot do without. Those calls are not
copied from the source, which would go out of date: they are recorded while the function runs on an image, each with the
arguments it got, and replayed in a straight line.
"""

from __future__ import annotations

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
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


def record(function: Callable[[Any], Any], image: Any) -> list[Call]:
    """Run `function` on an image and list, in order, the OpenCV functions and numpy operations that it made.

    Seen are functions of `cv2`, and functions, operators, indexing and reductions on arrays that came out of one of
    them or from the image. Not seen are plain Python, and numpy on arrays made from nothing: a replay takes rather less
    than the work, so that an overhead computed from it errs on the high side.
    """
    calls: list[Call] = []
    with _recording_opencv(calls):
        function(_watched(image, calls))
    return calls


def replay(calls: Sequence[Call]) -> None:
    """Make the calls again and drop what they return."""
    for call in calls:
        call.function(*call.arguments, **call.keywords)


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
    """Note a call, make it on plain arrays, and watch what comes out."""
    arguments, keywords = _plain(tuple(arguments)), _plain(keywords)
    if calls is not None:
        calls.append(Call(name, function, arguments, keywords))
    return _watched(function(*arguments, **keywords), calls)


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
