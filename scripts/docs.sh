#!/usr/bin/env bash
# Builds the documentation site into site/; a broken link or reference is an error. Arguments go to mkdocs.
# While writing: `mkdocs serve` in the environment that this makes.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet "$@"
