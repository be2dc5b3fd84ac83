"""PySide6 made to behave like PythonQt, Slicer's `qt`: properties are attributes, signals have names.

Never shipped. `button.text` is a string here, and `button.text()` fails as it does in Slicer.
"""

import sys
import types
from collections.abc import Callable
from functools import partial

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from shiboken6 import Object

_get, _set = QtCore.QObject.__getattribute__, Object.__setattr__
_properties: dict[type, set[str]] = {}


def install() -> None:
    """Changes PySide6 for good, and puts `qt` and `ctk` among the modules."""
    QtCore.QObject.__getattribute__ = _attribute
    qt = types.ModuleType("qt")
    qt.__getattr__ = _class  # PySide6 makes its classes when they are first asked for
    sys.modules["qt"], sys.modules["ctk"] = qt, types.ModuleType("ctk")


def connect(self, signal: str, slot: Callable) -> None:
    """As PythonQt: connect("clicked(bool)", f); a signature without arguments passes none."""
    name, _, arguments = signal.partition("(")
    if arguments == ")":
        _get(self, name).connect(lambda *_: slot())
    else:
        _get(self, name).connect(slot)


def _class(name: str) -> type:
    for module in (QtCore, QtGui, QtWidgets, QtUiTools):
        if hasattr(module, name):
            _let_set(getattr(module, name))
            return getattr(module, name)
    raise AttributeError(f"qt has no {name}")


def _let_set(kind: type) -> None:
    """Every class of PySide6 sets attributes by a function of its own."""
    for base in getattr(kind, "__mro__", ()):
        if issubclass(base, QtCore.QObject) and base.__module__.startswith("PySide6."):
            base.__setattr__ = _set_attribute


def _names(thing) -> set[str]:
    kind = type(thing)
    if kind not in _properties:
        _let_set(kind)
        meta = _get(thing, "metaObject")()
        _properties[kind] = {meta.property(n).name() for n in range(meta.propertyCount())}
    return _properties[kind]


def _attribute(self, name: str):
    if name == "name":
        return _get(self, "objectName")()
    if name == "connect":
        return partial(connect, self)
    if not name.startswith("_") and name in _names(self):
        return _get(self, "property")(name)
    return _get(self, name)


def _set_attribute(self, name: str, value) -> None:
    if not name.startswith("_") and name in _names(self):
        _get(self, "setProperty")(name, value)
    else:
        _set(self, name, value)
