#!/usr/bin/env bash
# Builds the wheel, installs it alone into an empty environment outside of the repository and runs the quickstart
# there: what a user needs is a dependency, and what it reads is in the wheel.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v python3.11 || command -v python3)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/env"
"$work/env/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" .
"$work/env/bin/python" -m pip install --quiet --constraint scripts/constraints.txt "$work"/dist/*.whl
here=$PWD
cd "$work"
export PATH="$work/env/bin:$PATH" GENNAS_HOME="$work/home"
unset PYTHONPATH GENNAS_DATA
gennas list checkpoints
bash "$here/scripts/quickstart.sh" --installed
test -s runs/quickstart/design/report.html
python runs/quickstart/design/networks/1/predict.py --help >/dev/null
