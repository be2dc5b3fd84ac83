"""Says in the end which tools of others the proofs were made with."""

import pytest

_tools: dict[str, str] = {}


@pytest.fixture(scope="session")
def record_tool():
    """(name, version) → stands in the report of the run."""
    return _tools.__setitem__


def pytest_terminal_summary(terminalreporter):
    if _tools:
        told = ", ".join(f"{name} {version}" for name, version in sorted(_tools.items()))
        terminalreporter.write_line(f"DICOM proven with {told}")
