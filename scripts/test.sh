#!/usr/bin/env bash
# Runs all tests; makes .venv first. Arguments go to pytest, e.g. `bash scripts/test.sh -k sampler`.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
# One thread a worker: more would wait for each other. A worker for every logical core: `auto` counts physical ones.
# Files in the order of tests/conftest.py, which begins with the slowest, rather than by their numbers of tests.
OMP_NUM_THREADS=1 python -m pytest -n logical --dist loadfile --no-loadscope-reorder --durations 20 "$@"
