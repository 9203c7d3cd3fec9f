# Sourced by the other scripts: makes .venv with the pinned packages and gennas in it. Safe to repeat.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidate
    for candidate in python3.11 python3 python; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "gennas' scripts need Python 3.11 (their packages are pinned for it); none of python3.11, python3, python is." >&2
    return 1
}

# A changed pin or dependency installs again; an unchanged one costs nothing.
wanted=$(cat pyproject.toml scripts/constraints.txt | cksum)
if [ ! -f .venv/.installed ] || [ "$(cat .venv/.installed)" != "$wanted" ]; then
    python=$(find_python)
    echo "installing into .venv ..."
    [ -x .venv/bin/python ] || "$python" -m venv .venv || {
        rm -rf .venv
        echo "'$python -m venv' failed; on Debian and Ubuntu: apt install python3.11-venv" >&2
        exit 1
    }
    # Not compiled: half of the time, for modules of which few are ever imported; those are compiled then.
    .venv/bin/python -m pip install --quiet --no-compile --constraint scripts/constraints.txt --editable '.[dev]'
    echo "$wanted" >.venv/.installed
fi
export PATH="$PWD/.venv/bin:$PATH"
