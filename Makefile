# `make demo` and `make test` are all one needs; both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
ESLINT := eslint@9.39.1

.PHONY: install demo test check lab notebooks site demo-runs format bench fusion-weights screenshots clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=python3.12, say"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev,notebooks,onnx,download,cluster]"
	@touch $@

demo: install
	$(BIN)/python app.py

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=5

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy afrd app.py
	$(BIN)/lint-imports --no-cache
	@if ! command -v npx >/dev/null; then echo "node is not installed: the page's scripts were not checked"; \
	elif ! npx --yes --fetch-retries=0 $(ESLINT) --version >/dev/null 2>&1; then echo "npm cannot be reached: the page's scripts were not checked"; \
	else cd afrd/page && npx --yes $(ESLINT) .; fi

lab: install
	$(BIN)/jupyter lab notebooks/01_light_and_defects.ipynb

notebooks: install
	$(BIN)/python notebooks/build.py

site: install  # the course and docs/ as HTML in build/site, by Sphinx
	$(BIN)/python docs/site/prepare.py build/site-source
	$(BIN)/sphinx-build -q -W --keep-going -b html build/site-source build/site

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/afrd render data/candies --category Praline --twins
	$(BIN)/python -m benchmarks.compare data/candies Praline --out runs/compare/Praline

fusion-weights: install
	$(BIN)/python -m benchmarks.fusion_weights

demo-runs: install
	$(BIN)/python -m benchmarks.demo_runs
	$(BIN)/afrd share afrd/demo/runs/Licorice/afrd --data data/candies --samples 4 --out docs/demo/index.html

screenshots: install
	$(BIN)/python docs/screenshots.py

clean:
	rm -rf .venv data/candies runs/demo
