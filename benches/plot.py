"""Draw what `rshelve-benches classic` sampled: `python benches/plot.py classic.csv classic.svg [title]`.

It needs matplotlib, which `scripts/venv.sh demo` installs into `.venv`.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "rshelve"  # The same samples make the same file.
matplotlib.rcParams["svg.fonttype"] = "none"  # Text stays text, which is small.
from matplotlib import pyplot  # noqa: E402

_MIB = 1 << 20


def draw(source: Path, target: Path, title: str) -> None:
    """Draw memory and file size over time, with a line where reading begins."""
    with source.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    seconds = [row["seconds"] for row in rows]
    figure, memory = pyplot.subplots(figsize=(8, 4))
    size = memory.twinx()
    lines = [
        *memory.plot(seconds, [row["resident_bytes"] / _MIB for row in rows], color="tab:blue", label="resident memory"),
        memory.axhline(rows[0]["cache_bytes"] / _MIB, color="tab:blue", linestyle=":", label="cache size"),
        *size.plot(seconds, [row["file_bytes"] / _MIB for row in rows], color="tab:orange", label="files"),
    ]
    reading = next((row["seconds"] for row in rows if row["read"]), None)
    if reading is not None:
        lines.append(memory.axvline(reading, color="tab:gray", linestyle="--", label="reading begins"))
    memory.set_ylim(bottom=0)
    size.set_ylim(bottom=0)
    memory.set_xlabel("seconds")
    memory.set_ylabel("resident memory, MiB")
    size.set_ylabel("files, MiB")
    memory.set_title(title)
    memory.legend(handles=lines, loc="lower right")
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    name = sys.argv[3] if len(sys.argv) == 4 else "Random keys of ten bytes, stored one by one, then read"
    draw(Path(sys.argv[1]), Path(sys.argv[2]), name)
