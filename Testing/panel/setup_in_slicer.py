"""Checks of setting up: what is missing is told, and what is installed stays; run by `run_in_slicer`."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import slicer
import slicer.util
from PySide6.QtWidgets import QApplication

from Testing.harness.application import answer_proof, proven_module
from Testing.panel.driving import ObedientWorker, with_prior
from Testing.slicer_checks import outcomes

GOOD = {"wrong": [], "torch": "2.5.1+cu121", "gpu": "made-up GPU", "free": 2**30, "total": 2**31}


def main() -> dict[str, str]:
    return outcomes(globals(), proven_module)


def check_what_is_proven_stands_on_a_line_of_its_own(running, folder):
    answer(running, GOOD)
    setup = running.panel.setup
    assert setup.proven and not setup.wanted and not running.ui.setupButton.visible
    assert running.ui.deviceLabel.text == "made-up GPU, 1.0 of 2.0 GB free, PyTorch 2.5.1+cu121"


def check_what_is_missing_too_old_or_dead_is_told(running, folder):
    ui, setup = running.ui, running.panel.setup
    for found, told in (
        (GOOD | {"wrong": ["monai: No module named 'monai'"]}, ["Press 'Set up'", "No module named 'monai'"]),
        (GOOD | {"torch": "", "wrong": ["torch: DLL load failed"]}, ["DLL load failed"]),
        (GOOD | {"torch": "2.1.2+cpu"}, ["2.1.2+cpu is too old", "2.2 or newer", "PyTorch Util"]),
        (None, ["warning: this one comes last"]),
    ):
        answer(running, found)
        assert all(text in ui.messageLabel.text for text in told), ui.messageLabel.text
        assert not setup.proven and ui.setupButton.visible and ui.setupButton.enabled


def check_installing_says_so_and_touches_no_torch(running, folder):
    python = venv_with_wheels(folder)
    ui, seen = running.ui, []

    def pip_install(arguments):
        seen.append((ui.setupButton.enabled, QApplication.overrideCursor() is not None, ui.messageLabel.text))
        pip(python, folder, *arguments)

    answer(running, GOOD | {"wrong": ["monai"]})
    replaced = slicer.util.pip_install, slicer.util.confirmOkCancelDisplay
    slicer.util.pip_install, slicer.util.confirmOkCancelDisplay = pip_install, lambda text: True
    install = sys.modules["HiDiffRefinePanel.install"]
    installed, install.installed = install.installed, lambda package: versions(python).get(package)
    try:
        ui.setupButton.click()
        ((enabled, waits, told),) = seen
        assert not enabled and waits and "minutes" in told
        assert QApplication.overrideCursor() is None and ui.setupButton.enabled
        found = versions(python)
        assert found["torch"] == "2.5.1+cu121" and found["monai"] == "1.5.0", found
        assert {"safetensors", "scipy", "jsonschema"} <= set(found)
        pip(python, folder, "--force-reinstall", "--no-deps", "monai==1.6.0")  # does not go with this torch
        ui.setupButton.click()
        assert versions(python) == found
        slicer.util.pip_install = lambda arguments: 1 / 0
        ui.setupButton.click()
        assert "failed: division by zero" in ui.messageLabel.text and ui.setupButton.enabled
        install.installed = lambda package: "2.1.0"
        ui.setupButton.click()
        assert "2.1.0 is too old" in ui.messageLabel.text
    finally:
        slicer.util.pip_install, slicer.util.confirmOkCancelDisplay = replaced
        install.installed = installed


def check_the_user_chooses_the_device(running, folder):
    class Worker(ObedientWorker):
        def models(self, name, device, mode):
            devices.append(device)
            return super().models(name, device, mode)

    devices = []
    running.panel._bundles.clear()
    running.ui.deviceSelector.clear()
    answer(running, GOOD)
    session = with_prior(running)
    running.editor.worker = Worker()
    selector = running.ui.deviceSelector
    assert selector.enabled and [selector.itemText(n) for n in range(2)] == ["made-up GPU", "Processor (CPU)"]
    for index in (1, 0):
        selector.currentIndex = index
        selector.activated.emit(index)
        assert running.editor.session is None
        running.press(running.ui.refineExistingButton)
    assert devices == ["cpu", "auto"] and running.editor.session.node is session.node
    answer(running, GOOD | {"gpu": ""})
    assert not selector.enabled


def check_an_imported_model_is_among_those_to_choose_from(running, folder):
    """As `bundles import` writes it: nobody told what it was trained on."""
    from HiDiffRefineLib.bundles import models_folder

    for name, wanted in (("refiner", "refiner"), ("hippocampus-mr", "imported")):
        shutil.copytree(models_folder() / name / "configs", folder / wanted / "configs")
    file = folder / "imported" / "configs" / "metadata.json"
    metadata = json.loads(file.read_text(encoding="utf-8"))
    steps = [{"step": "resample", "interpolation": "linear"}]
    windows = {"overlap": 0.5, "blend": "gaussian", "padding": "constant"}
    imported = {"from": "MONAI bundle", "steps": steps, "windows": windows}
    metadata["hidiffrefine"] |= {"training_data": [], "imported": imported, "weights": {}, "validation": None}
    file.write_text(json.dumps(metadata | {"name": "Spleen from elsewhere"}), encoding="utf-8")
    models, selector = sys.modules["HiDiffRefinePanel.models"], running.ui.modelSelector
    before = os.environ.get("HIDIFF_MODELS")
    os.environ["HIDIFF_MODELS"] = str(folder)
    try:
        selector.clear()
        bundles, problems = models.fill_models(selector)
    finally:
        os.environ.pop("HIDIFF_MODELS")
        if before is not None:
            os.environ["HIDIFF_MODELS"] = before
    assert not problems and selector.itemText(0) == "Spleen from elsewhere"
    assert "<b>Trained on:</b> not told" in models.describe(bundles["imported"])


def answer(running, found: dict | None) -> None:
    """Has the interpreter answer the proof, among other lines."""
    line = "" if found is None else f"HIDIFFREFINE {json.dumps(found)}"
    answer_proof(f"warning: first\n{line}\nwarning: this one comes last\n")
    running.panel.setup.check()
    running.wait()


def venv_with_wheels(folder: Path) -> Path:
    """An interpreter with a made-up torch, and wheels beside it that pip may choose from."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    for name, version, needs in (
        ("torch", "2.1.0", ""),
        ("torch", "2.5.1+cu121", ""),
        ("torch", "2.8.0", ""),
        ("monai", "1.4.0", "torch>=1.9"),
        ("monai", "1.5.0", "torch<2.7,>=2.4.1"),
        ("monai", "1.6.0", "torch>=2.8"),
        ("jsonschema", "4.26", ""),
        ("safetensors", "0.8", ""),
        ("scipy", "1.17", ""),
    ):
        write_wheel(folder, name, version, needs)
    python = folder / "venv" / "bin" / "python"
    pip(python, folder, "torch==2.5.1+cu121")
    return python


def write_wheel(folder: Path, name: str, version: str, needs: str) -> None:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def pip(python: Path, folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index"]
    done = subprocess.run(
        [*command, "--find-links", str(folder), *arguments], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr


def versions(python: Path) -> dict[str, str]:
    code = "import importlib.metadata as m, json\n"
    code += "print(json.dumps([[one.name, one.version] for one in m.distributions()]))"
    return dict(json.loads(subprocess.run([python, "-c", code], capture_output=True, check=True).stdout))
