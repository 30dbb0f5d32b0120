#!/usr/bin/env bash
# The flow of the paper on one GPU, in one command that ends by itself: bash benchmarks/device/paper.sh --help
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONUNBUFFERED=1 PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" -m benchmarks.device.paper "$@"
