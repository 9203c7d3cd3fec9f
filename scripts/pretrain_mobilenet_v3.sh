#!/usr/bin/env bash
# Makes checkpoints/mobilenet_v3 from the files in GENNAS_DATA. Its archs are drawn exactly: no generator is trained.
set -euo pipefail
gennas pretrain predictor --space mobilenet_v3 --table mobilenet_v3 --seed 0 --out "${1:-checkpoints/mobilenet_v3}" \
  --training.few 10000 --training.steps 1200 --training.batch-size 256 --held-out-labels 5000 --curve-seeds 0
