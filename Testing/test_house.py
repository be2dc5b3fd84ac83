"""The house rules that no other tool checks."""

import json
import re
import runpy
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_cmake_lists_every_library_file():
    tool = runpy.run_path(str(REPOSITORY / "Testing" / "tools" / "list_files.py"))
    listed = (REPOSITORY / "HiDiffRefineLib" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert listed == tool["cmake_text"](), "run `make cmake-list`"


def test_cmake_lists_every_file_of_the_module():
    module = REPOSITORY / "HiDiffRefine"
    text = (module / "CMakeLists.txt").read_text(encoding="utf-8")
    lists = re.findall(r"set\(MODULE_PYTHON_\w+\n(.*?)\)", text, re.DOTALL)
    scripts, resources = ([line.strip() for line in part.splitlines() if line.strip()] for part in lists)
    assert scripts == sorted(file.relative_to(module).as_posix() for file in module.rglob("*.py"))
    there = [file for file in (module / "Resources").rglob("*") if file.is_file()]
    assert resources == sorted(file.relative_to(module).as_posix() for file in there)


def test_files_are_written_as_a_whole_or_not_at_all():
    """All by volumes/new_files.py, but for the journal and the log, which grow line by line."""
    writes = re.compile(
        r"write_text\(|write_bytes\(|os\.replace|save_file\(|(?<!new\.)open\((?!new\b)[^)]*\"[wax+]b?"
    )
    library = REPOSITORY / "HiDiffRefineLib"
    found = {
        file.relative_to(library).as_posix()
        for file in library.rglob("*.py")
        if writes.search(file.read_text(encoding="utf-8").replace("open(os.devnull", ""))
    }
    # The last two write within what new_files gave them.
    grown, whole = {"runtime/link.py", "session/record.py"}, {"volumes/new_files.py"}
    expected = grown | whole | {"volumes/write.py", "volumes/nifti_forms.py"}
    assert found == expected, "write it with new_files or write_whole"


def test_each_line_of_ways_in_and_out_has_its_test():
    text = (REPOSITORY / "docs" / "ways-in-and-out.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| kind |")]
    assert len(lines) > 40
    for line in lines:
        files = re.findall(r"`([a-z_/]+\.py)`", line.rsplit("|", 2)[1])
        assert files and all((REPOSITORY / "Testing" / file).is_file() for file in files), line


def test_the_extensions_index_finds_what_it_asks_for():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    fields = dict(re.findall(r'set\(EXTENSION_(\w+) "?(.*?)"?\)\n', text))
    entry = json.loads((REPOSITORY / "Resources/ExtensionsIndex/HiDiffRefine.json").read_text())
    assert fields["DEPENDS"].split() == entry["build_dependencies"]
    assert fields["CATEGORY"] == entry["category"] and entry["scm_url"] == fields["HOMEPAGE"] + ".git"
    assert {"CONTRIBUTORS", "DESCRIPTION"} <= set(fields)
    for url in (fields["ICONURL"], *fields["SCREENSHOTURLS"].split()):
        assert (REPOSITORY / url.partition("/main/")[2]).is_file(), url
