"""Rewrites the file lists of HiDiffRefineLib/CMakeLists.txt from the tree: `make cmake-list`.

CMake's own globbing would miss a file added after configuring, so Slicer packages list their files.
"""

from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "HiDiffRefineLib"
CMAKE = LIBRARY / "CMakeLists.txt"

TEMPLATE = """\
# Written by `make cmake-list`; Testing/test_house.py compares it with the tree.
set(scripts
{scripts}
  )
set(resources
{resources}
  )

# Lands beside the module, as the package HiDiffRefineLib.
ctkMacroCompilePythonScript(
  TARGET_NAME HiDiffRefineLib
  SCRIPTS "${{scripts}}"
  RESOURCES "${{resources}}"
  DESTINATION_DIR ${{CMAKE_BINARY_DIR}}/${{Slicer_QTSCRIPTEDMODULES_LIB_DIR}}/HiDiffRefineLib
  INSTALL_DIR ${{Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}}
  )
"""


def cmake_text() -> str:
    """What HiDiffRefineLib/CMakeLists.txt has to say about the files of today."""

    def listed(suffix: str) -> str:
        files = sorted(LIBRARY.rglob(f"*{suffix}"))
        return "\n".join(f"  {file.relative_to(LIBRARY).as_posix()}" for file in files)

    return TEMPLATE.format(scripts=listed(".py"), resources=listed(".json"))


if __name__ == "__main__":
    CMAKE.write_text(cmake_text(), encoding="utf-8")
