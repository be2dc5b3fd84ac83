"""What a stranger finds first: versions, addresses, workflows and links agree with the project."""

import re
from pathlib import Path

import pytest
import yaml

from HiDiffRefineLib import __version__

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def of_project(key: str) -> str:
    """A text of pyproject.toml, for which Python 3.10 has no reader."""
    return re.search(rf'^{key} = "(.*)"$', text_of("pyproject.toml"), re.MULTILINE)[1]


def test_versions_and_addresses_agree_with_those_of_the_project():
    home = of_project("Homepage")
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["version"] == __version__ and citation["repository-code"] == home
    assert citation["license"] == of_project("license")
    assert f"## {__version__}" in text_of("CHANGELOG.md")
    assert f'EXTENSION_HOMEPAGE "{home}"' in text_of("CMakeLists.txt")
    assert all(of_project(name).startswith(home) for name in ("Issues", "Changelog"))
    # Everything else links within the repository.
    for name in ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md"):
        assert "https://" not in text_of(name), name


def test_workflows_run_what_is_run_here():
    (file,) = (REPOSITORY / ".github/workflows").iterdir()
    jobs = yaml.safe_load(file.read_text())["jobs"]
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert all(len(steps) == 1 and ".ci/run" in steps[0] for steps in runs.values())
    assert jobs["library"]["strategy"]["matrix"]["os"] == ["windows-latest", "macos-latest"]
    folders = re.search(r'folders="(.*)"', text_of(".ci/run"))[1].split()
    assert all((REPOSITORY / "Testing" / folder).is_dir() for folder in folders)
    for file in [*REPOSITORY.glob(".github/ISSUE_TEMPLATE/*.yml"), REPOSITORY / ".pre-commit-config.yaml"]:
        assert yaml.safe_load(file.read_text())


def test_the_console_script_leads_somewhere():
    module, _, name = of_project("hidiffrefine").partition(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_within_the_repository_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link
