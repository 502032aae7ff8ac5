# `make demo` and `make test` on a fresh machine: Python >= 3.10 with venv, a C++17 compiler and make are enough.
# Every target sets up .venv itself.

PYTHON ?= python3
# Where to find PyTorch's CPU wheels, if the default ones (with CUDA, several gigabytes) are not wanted.
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.edge-installed
DEMO_OUT := runs/demo
PACKAGES := edge compress runtime calibration tests
CXX_SOURCES := $(shell find runtime/csrc tests/cpp -name '*.cpp' -o -name '*.hpp' -o -name '*.h' 2>/dev/null)
BUILD_INPUTS := pyproject.toml requirements/constraints.txt CMakeLists.txt $(wildcard cmake/*) \
	$(shell find runtime/csrc -type f 2>/dev/null)
PIP := $(BIN)/python -m pip --disable-pip-version-check
PREFLIGHT := .venv-preflight
PREFLIGHT_STAMP := $(PREFLIGHT)/.edge-installed
COMPRESS_PEERS := .venv-peers-compress

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
.PHONY: help install demo test preflight test-preflight soak lint bench bench-peers ctest ctest-address ctest-thread cross ctest-aarch64 ctest-nehalem need-aarch64 \
	need-nehalem bench-compress bench-compress-peers bench-profile bench-profile-peers clean

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1   \2/p' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## Set up .venv with the package, its extras and the tools

demo: $(STAMP) ## Train, compress, pack and run a fusion model; open runs/demo/report.html afterwards
	$(BIN)/edge demo --out $(DEMO_OUT)

test: $(STAMP) ## Run the Python tests that need no GPU and no board
	$(BIN)/python -m pytest -m "not gpu and not device and not soak and not preflight"

preflight: $(PREFLIGHT_STAMP) ## Set up .venv-preflight: Torch-TensorRT and TensorRT-RTX without a GPU, for `edge check`

test-preflight: $(PREFLIGHT_STAMP) ## Run the tests that convert and build engines in .venv-preflight; no GPU needed
	$(PREFLIGHT)/bin/python -m pytest -m "preflight and not gpu" tests/preflight

soak: $(STAMP) ## Run the live runtime under faults in real time for ten minutes (EDGE_SOAK_S=seconds); nothing may grow
	$(BIN)/python -m pytest -m soak tests/soak

lint: $(STAMP) ## Check style, types, C++ format and that the extension's stub is current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cmake -P cmake/typing_links.cmake
	$(BIN)/mypy $(PACKAGES)
	$(if $(CXX_SOURCES),$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES))
	$(BIN)/python -m pytest -q tests/runtime/test_core_stub.py

bench: $(STAMP) ## Run the benchmarks beside the peers, under ten minutes; writes benchmarks/results.md
	$(BIN)/python benchmarks/side_by_side.py --demo $(DEMO_OUT)

bench-peers: ## Set up .venv-peers with what the benchmarks compare with; ROS comes from Debian, see benchmarks/README.md
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt

bench-profile: $(STAMP) ## Measure the profiler itself: overhead beside MLPerf LoadGen, coverage, slowdowns found
	$(BIN)/python benchmarks/profiler.py

bench-profile-peers: ## Set up .venv-peers-profile with MLPerf LoadGen, which bench-profile compares with
	@test -x .venv-peers-profile/bin/python || $(PYTHON) -m venv .venv-peers-profile
	.venv-peers-profile/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/bench_profile.txt

bench-compress: $(STAMP) ## Compare INT8 with ORT, torchao, ModelOpt and NNCF on trained models; see benchmarks/README.md
	$(BIN)/python benchmarks/compression/compare.py

bench-compress-peers: ## Set up .venv-peers-compress with ModelOpt, NNCF and Torch-Pruning, which bench-compress compares with
	@test -x $(COMPRESS_PEERS)/bin/python || $(PYTHON) -m venv $(COMPRESS_PEERS)
	$(COMPRESS_PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements/bench_compress.txt

ctest: ctest-address ctest-thread ## Run the C++ tests under the address, undefined-behaviour and thread sanitizers

ctest-address: $(STAMP)
	$(call run_ctest,address,address$(comma)undefined)

ctest-thread: $(STAMP)
	$(call run_ctest,thread,thread)

cross: ctest-aarch64 ctest-nehalem ## Cross-build the C++ core for 64-bit Arm and run its tests on emulated CPUs

ctest-aarch64: need-aarch64 $(STAMP) ## The C++ tests on an emulated 64-bit Arm CPU
	$(call build_preset,aarch64)
	$(BIN)/ctest --preset aarch64

ctest-nehalem: need-nehalem $(STAMP) ## The C++ tests on this machine, then on an emulated CPU of 2008
	$(call build_preset,x86)
	$(BIN)/ctest --preset x86
	$(BIN)/ctest --preset nehalem

need-aarch64:
	@$(call require_emulator,aarch64,aarch64-linux-gnu-g++,g++-aarch64-linux-gnu qemu-user)

need-nehalem:
	@$(call require_emulator,x86_64,c++,g++ qemu-user)

clean: ## Remove what was built and cached; keeps .venv and runs
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	rm -f $(STAMP)

$(STAMP): $(BUILD_INPUTS)
	@$(call require_tools)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --upgrade pip || echo "pip could not be upgraded; going on with the one at hand"
	$(PIP) install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
		-c requirements/constraints.txt -e ".[train,cpu,camera,audio,text,data,explain,mcap,viewer,signing,dev]"
	@touch $@

# With --no-deps, because the packages' own pins contradict each other; see requirements/preflight.txt.
$(PREFLIGHT_STAMP): $(BUILD_INPUTS) requirements/preflight.txt
	@$(call require_tools)
	@test -x $(PREFLIGHT)/bin/python || $(PYTHON) -m venv $(PREFLIGHT)
	$(PREFLIGHT)/bin/python -m pip install --quiet --disable-pip-version-check \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c requirements/constraints.txt \
		-e ".[train,cpu,signing]" pytest pytest-timeout hypothesis packaging filelock
	$(PREFLIGHT)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/preflight.txt
	@touch $@

comma := ,

define require_tools
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| { echo "edge needs Python 3.10 or newer; install it, or name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }; \
	$(PYTHON) -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' \
		|| { echo "$(PYTHON) has no C headers; on Debian and Ubuntu: apt-get install python3-dev" >&2; exit 2; }; \
	command -v $${CXX:-c++} >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null \
		|| { echo "there is no C++ compiler; on Debian and Ubuntu: apt-get install g++" >&2; exit 2; }
endef

define run_ctest
	$(BIN)/cmake -S . -B build/ctest-$(1) -DEDGE_BUILD_PYTHON=OFF -DEDGE_BUILD_TESTS=ON -DEDGE_SANITIZE=$(2) \
		-DEDGE_WARNINGS_AS_ERRORS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo --log-level=WARNING
	$(BIN)/cmake --build build/ctest-$(1) --parallel
	$(BIN)/ctest --test-dir build/ctest-$(1) --output-on-failure --no-tests=error
endef

define require_emulator
	{ command -v $(2) && { command -v qemu-$(1) || command -v qemu-$(1)-static; }; } >/dev/null \
		|| { echo "make $(@:need-%=ctest-%) needs $(2) and qemu-$(1); on Debian and Ubuntu: apt-get install $(3)" >&2; exit 2; }
endef

define build_preset
	$(BIN)/cmake --preset $(1) -DEDGE_WARNINGS_AS_ERRORS=ON --log-level=WARNING
	$(BIN)/cmake --build --preset $(1)
endef
