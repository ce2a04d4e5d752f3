#!/usr/bin/env bash
# The baselines on scientific as UniSRec's repository runs them; see benchmarks/gpu/README.md.
#
#   OUT=runs-gpu bash benchmarks/gpu/baselines_scientific.sh
#
# ENCODER names another encoder (a hub id or a folder), SEEDS others than 0,1,2, MORE further
# arguments of `python -m harness run`.
set -euo pipefail
cd "$(dirname "$0")/../.."
encoder=${ENCODER:-bert-base-uncased}
python=${PYTHON:-.venv/bin/python}
rows=bert4rec:unisrec-repository,fdsa:unisrec-repository,fdsa:as-shipped
rows+=,s3rec:unisrec-repository,s3rec:as-shipped,unisrec:text,unisrec:id-text
# shellcheck disable=SC2086 # MORE is several words
$python -m harness run --methods "$rows" --datasets scientific --seeds "${SEEDS:-0,1,2}" \
  --set "fdsa.encoder=$encoder" --set "s3rec.encoder=$encoder" --set "unisrec.encoder=$encoder" \
  --out "${OUT:-runs-gpu}" ${MORE:-}
