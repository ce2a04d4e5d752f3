#!/usr/bin/env bash
# CALRec at full size on all users of `scientific`: full fine-tuning with both contrastive losses
# (N_b 512), 32 texts a user; then hierarchical matching and the trie from the same weights, and
# the untuned model. BACKBONE: a folder, a GGUF file or a hub id. OUT: the run folder. CACHE:
# trained weights, their states and texts; keep it between calls: whatever stops a call, the next
# one goes on from the last state (MINUTES apart) and the last 64 users. LIMIT: seconds after
# which this call ends by itself, for machines lent in pieces; 0 for none.
set -euo pipefail
cd "$(dirname "$0")/../.."
backbone=${BACKBONE:-HuggingFaceTB/SmolLM2-135M}
out=${OUT:-runs}
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sequential-harness}
limit=${LIMIT:-0}
python=${PYTHON:-.venv/bin/python}
device=${DEVICE:-cuda}
read -ra more <<<"${MORE:-}"
status=0
timeout --signal=INT --kill-after=20 "$limit" \
  "$python" -m harness run \
  --methods calrec,calrec:hierarchical,calrec:trie,calrec:pretrained-only \
  --datasets scientific --device "$device" --out "$out" --cache "$cache" \
  --set "calrec.backbone=$backbone" --set calrec.batch_size=512 --set calrec.epochs=3 \
  --set calrec.max_history_items=none --set calrec.tokens_at_once=65536 \
  --set calrec.max_new_tokens=96 --set calrec.generation_precision=bfloat16 \
  --set "calrec.save_minutes=${MINUTES:-2}" ${more[@]+"${more[@]}"} || status=$?
echo "what the records say of speed, utilisation and memory:"
"$python" - "$out" <<'PYTHON'
import json, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob("scientific*/calrec*/*/record.json")):
    record = json.loads(path.read_text())
    if record["status"] != "ok":
        continue
    found = {**record["cost"], **record["report"]}
    wanted = ("fit_s", "score_s", "peak_gpu_bytes", "fine_tuning_tokens_per_second",
              "fine_tuning_flops_utilisation", "generation_tokens_per_second",
              "generation_flops_utilisation", "generation_seconds_per_user")
    print(record["method"]["label"], {name: found[name] for name in wanted if name in found})
    print({name: value["pessimistic"] for name, value in record["metrics"].items()})
PYTHON
if [ "$status" -eq 124 ]; then echo "stopped at the limit: call again to go on"; fi
exit "$status"
