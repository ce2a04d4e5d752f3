#!/usr/bin/env bash
# Recformer with the original's settings (three attributes, 50 items, 1,024 tokens, two stages) on
# all users of `scientific`; selected by the harness's pessimistic NDCG@10, in bfloat16. WEIGHTS: a Longformer or converted encoder, folder or hub id, or a released
# checkpoint. OUT: the run folder; call again to keep finished cells.
set -euo pipefail
cd "$(dirname "$0")/../.."
weights=${WEIGHTS:-allenai/longformer-base-4096}
out=${OUT:-runs}
python=${PYTHON:-.venv/bin/python}
"$python" -m harness run --methods recformer --datasets scientific --device cuda \
  --set "recformer.weights=$weights" --set recformer.attributes=title,brand,category --out "$out"
