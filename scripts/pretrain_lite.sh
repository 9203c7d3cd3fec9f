#!/usr/bin/env bash
# Makes checkpoints/lite0, lite1 and lite2 from datasets/lite. Their archs are drawn exactly: no generator is trained.
set -euo pipefail
for space in lite0 lite1 lite2; do
  gennas pretrain predictor --space "$space" --table "$space" --seed 0 --out "${1:-checkpoints}/$space"
done
