# Each target makes an environment in VENV and needs Python 3.10 or newer and a C++ compiler.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
# What the tests use; parts of them skip themselves without torch, diffusers, tensorrt-rtx,
# openvino, int8, serve, docs or a browser.
EXTRAS ?= cpu,bulk,bundle,data,grpc,judge,openvino,int8,serve,plot,torch,diffusers,tensorrt-rtx,test,dev,docs
# Processes that run the tests, each with one thread of its own for PyTorch.
JOBS ?= auto
BIN = $(VENV)/bin

.PHONY: demo docs test

# Generates sixteen prompts by the shipped engine; needs no PyTorch.
demo:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet '.[cpu,text]'
	$(BIN)/adagen-rt generate --engine engines/emoji-sit --count 16 --seed 0 \
		--out $(OUT)/emoji-sit.png --preview $(OUT)/emoji-sit-steps.png --labels

# The documentation as a site, in out/site; a link to nowhere or an error in the tutorial ends it.
docs:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet '.[cpu,plot,docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Everything that a change has to pass.
test:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet '.[$(EXTRAS)]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist worksteal
