# make demo [INPUT=image BUNDLE=name]   segment and refine a real image, write demo/
# make test                             style, import floors, tests
# make cmake-list                       list new library files for the Slicer package
# make screenshots                      pictures of the module, Resources/Screenshots
# make icon                             PNG files of Resources/HiDiffRefine.svg
# Both share one virtual environment, .venv. Needs python3 >= 3.10, git and make.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test cmake-list screenshots icon clean

demo: .venv/stamp
	$(BIN)/python -m HiDiffRefineLib.cli.demo $(if $(INPUT),--input "$(INPUT)") $(if $(BUNDLE),--bundle "$(BUNDLE)")

# One thread: the tests' tensors are small, and threads would wait for each other on shared cores.
test: export OMP_NUM_THREADS ?= 1
test: .venv/stamp
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/python -m pytest -m alone

cmake-list: .venv/stamp
	$(BIN)/python Testing/tools/list_files.py

screenshots: .venv/stamp
	$(BIN)/python Testing/run_in_slicer.py Testing/panel/screenshots.py

icon: .venv/stamp
	$(BIN)/python Testing/tools/draw_icon.py

.venv/stamp: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "HiDiffRefine needs Python 3.10 or newer. Name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv demo build *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
