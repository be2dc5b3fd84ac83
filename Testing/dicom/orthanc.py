"""Debian's Orthanc as a PACS of the test's own, on ports of this machine."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@contextmanager
def running_orthanc(folder: Path):
    """A PACS with nothing in it: its HTTP address, its DICOM port and its version; skips without Orthanc."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not PLUGIN.exists():
        pytest.skip("orthanc and orthanc-dicomweb are not installed; .ci/run installs them")
    http, dicom = _free_port(), _free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        # Only what calls from this machine by its name is let in.
        "DicomCheckModalityHost": True,
        "DicomModalities": {"test": {"AET": "TEST", "Host": "127.0.0.1", "Port": dicom, "AllowGet": True}},
        # Of 2022: it does not know label map segmentations (2024), and stores them all the same.
        "UnknownSopClassAccepted": True,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            system = _wait(f"http://127.0.0.1:{http}/system", process, folder / "log.txt")
            yield f"http://127.0.0.1:{http}", dicom, system["Version"]
        finally:
            process.kill()  # its store goes with the folder, and a failed test may have left a call open
            process.wait()


def empty(url: str) -> None:
    """Takes everything out of the archive."""
    with urlopen(f"{url}/studies") as answer:
        for study in json.load(answer):
            urlopen(Request(f"{url}/studies/{study}", method="DELETE")).close()


def _wait(url: str, process: subprocess.Popen, log: Path) -> dict:
    end = time.monotonic() + 30
    while True:
        try:
            with urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except URLError:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
