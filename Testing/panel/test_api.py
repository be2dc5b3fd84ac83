"""The stand-ins and the panel use only names that Slicer's widgets have in Python (slicer_qt_api.json)."""

import ast
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
API = json.loads((REPOSITORY / "Testing/harness/slicer_qt_api.json").read_text(encoding="utf-8"))
UI = ElementTree.parse(REPOSITORY / "HiDiffRefine/Resources/UI/HiDiffRefine.ui").getroot()
PYTHON = sorted((REPOSITORY / "HiDiffRefine").rglob("*.py"))
# What Qt calls on its own widgets, and nobody by name.
EVENTS = {"paintEvent"}


def names_of(kind: str) -> set[str]:
    """What PythonQt shows of a class, its bases of Slicer's and CTK's included."""
    if kind not in API:
        return set()
    entry = API[kind]
    callables = [*entry["slots"], *entry["signals"], *entry["invokables"]]
    return {name.partition("(")[0] for name in callables} | set(entry["properties"]) | names_of(entry["base"])


def stand_ins(file: str) -> dict[str, set[str]]:
    """Public names that each stand-in defines."""
    tree = ast.parse((REPOSITORY / f"Testing/harness/{file}.py").read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    found = {}
    for node in classes:
        names = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        names |= {t.id for part in node.body if isinstance(part, ast.Assign) for t in part.targets}
        found[node.name] = {name for name in names if name[0] != "_"}
    return found


WIDGETS = stand_ins("widgets") | stand_ins("segment_widgets")


@pytest.mark.parametrize("kind", WIDGETS)
def test_stand_ins_have_no_name_that_slicer_lacks(kind):
    # A collapsible button's text is QAbstractButton's.
    assert WIDGETS[kind] - EVENTS - {"text"} <= names_of(kind)


@pytest.mark.parametrize("kind, of", [("Layout", "qMRMLLayoutManager"), ("SliceView", "qMRMLSliceWidget")])
def test_stand_ins_for_views_have_no_name_that_slicer_lacks(kind, of):
    # What only the tests call is written as Python is.
    names = {name for name in stand_ins("views")[kind] if not name.islower()}
    assert names and names - {"ORIENTATIONS"} <= names_of(of)


def test_the_application_has_what_is_asked_of_it():
    known, properties = names_of("qSlicerApplication"), API["qSlicerCoreApplication"]["properties"]
    of_qt = {"connect", "processEvents"}
    for file in PYTHON:
        for name, call in re.findall(r"slicer\.app\.(\w+)(\(?)", file.read_text(encoding="utf-8")):
            assert name in of_qt or name in known, f"{file.name}: slicer.app.{name}"
            assert bool(call) != (name in properties), f"{file.name}: slicer.app.{name}"


def test_the_database_has_no_name_that_slicer_lacks():
    tree = ast.parse((REPOSITORY / "Testing/harness/application.py").read_text(encoding="utf-8"))
    (database,) = [node for node in tree.body if getattr(node, "name", "") == "DICOMDatabase"]
    names = {part.name for part in database.body if isinstance(part, ast.FunctionDef)} - {"__init__"}
    assert names <= names_of("ctkDICOMDatabase")


def test_widgets_of_the_ui_file_have_the_properties_it_sets():
    for widget in UI.iter("widget"):
        kind = widget.get("class")
        if kind in API:
            own = [p.get("name") for p in widget.findall("property") if p.get("stdset") != "0"]
            entry = API[kind]["properties"]
            of_qt = {"text", "toolTip", "visible", "enabled", "maximumSize"}
            assert all(name in of_qt or entry[name]["writable"] for name in own), (kind, own)


def test_every_widget_that_the_panel_names_is_in_the_ui_file():
    named = {widget.get("name") for widget in UI.iter("widget")}
    for file in PYTHON:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ui":
                assert node.attr in named, f"{file.name}: ui.{node.attr}"


def test_signals_that_the_panel_connects_are_those_of_the_widgets():
    kinds = {widget.get("name"): widget.get("class") for widget in UI.iter("widget")}
    text = "".join(file.read_text(encoding="utf-8") for file in PYTHON)
    for name, signal in re.findall(r"ui\.(\w+)\.connect\(\s*\"(\w+)", text):
        if kinds[name] in API:
            assert signal in {known.partition("(")[0] for known in API[kinds[name]]["signals"]}


def test_nothing_but_slicer_numpy_and_the_standard_library_is_imported_at_file_scope():
    allowed = {"slicer", "vtk", "qt", "ctk", "numpy", "HiDiffRefinePanel"} | sys.stdlib_module_names
    for file in PYTHON:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in modules} <= allowed, file.name


def test_the_module_file_stays_thin():
    lines = (REPOSITORY / "HiDiffRefine/HiDiffRefine.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
