#!/usr/bin/env bash
# Installs Debian's chromium, in which the tests of report pages run; nothing happens where a chromium is there.
set -euo pipefail
if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "no chromium here, and it is not installed as this is no root on Debian; the tests of pages are skipped" >&2
    exit 0
fi
echo "installing chromium ..."
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium >/dev/null
