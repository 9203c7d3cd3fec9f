#!/usr/bin/env bash
# From a task and a device to trained networks: generates 8 archs for the digits task on this CPU with at most
# 0.3 million parameters, trains the best 3, exports the best one and shows predicted against measured. Safe to
# repeat: what is done is not done again. With --installed, the gennas on the path is used, in the current folder;
# otherwise .venv is made first.
set -euo pipefail
if [ "${1:-}" != --installed ]; then
    source "$(dirname "$0")/setup.sh"
fi
out=runs/quickstart
# Two cells per stage rather than the published five: three trainings take a minute or two.
skeleton=cells=2

echo "--- 1 of 4: generate 8 architectures with at most 0.3 million parameters"
gennas generate --task digits --hardware cpu --objective accuracy --where "params_m <= 0.3" \
    --skeleton "$skeleton" --distinct functions -n 8 --seed 0 --out "$out/archs.json"

echo "--- 2 of 4: train the best 3 on 1,079 real images and measure their latency here"
gennas validate --task digits --skeleton "$skeleton" --archs "$out/archs.json" --top 3 --out "$out/digits"

echo "--- 3 of 4: export the best network, as PyTorch code and as ONNX"
[ -d "$out/network" ] || gennas export --task digits --study "$out/digits" --out "$out/network"

echo "--- 4 of 4: draw the cells"
gennas export --archs "$out/archs.json" --draw --out "$out/drawings"

echo "The report: $out/digits/report.html"
