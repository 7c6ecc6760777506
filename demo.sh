#!/usr/bin/env bash
# Sets up everything that the demo needs, then runs it. Arguments go to the demo: ./demo.sh -n 20000
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
scripts/venv.sh demo
exec .venv/bin/python -m rshelve.demo "$@"
