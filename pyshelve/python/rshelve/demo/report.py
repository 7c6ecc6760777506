"""The table and the picture."""

from __future__ import annotations

import sys
from pathlib import Path

from rshelve.demo.measure import Run
from rshelve.demo.stores import KINDS

_HEADINGS = ["store", "records", "set/s", "get/s", "scan/s", "file size", "memory", "durability"]
_TITLES = {
    "classic": "{records:,} paragraphs under random 10-byte keys",
    "corpus": "{records:,} source files of the standard library, by path",
}


def title(runs: list[Run]) -> str:
    """What a job is about."""
    return _TITLES[runs[0].job].format(records=max(run.records for run in runs))


def table(runs: list[Run]) -> str:
    """The runs of one job as aligned text."""
    rows = [_HEADINGS, *map(_row, runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, len(row) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _row(run: Run) -> list[str]:
    if run.failure:
        return [run.store, "-", "-", "-", "-", "-", "-", f"failed: {run.failure}"]
    rates = [f"{run.rates[name]:,.0f}" if name in run.rates else "-" for name in ("set", "get", "scan")]
    note = run.durability + ("" if run.complete else " (stopped when its time was up)")
    return [run.store, f"{run.records:,}", *rates, _mib(run.file_bytes), "+" + _mib(run.memory_growth_bytes), note]


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def draw(jobs: list[list[Run]], path: Path) -> None:
    """Memory and file size over time, a column for each job."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = pyplot.subplots(2, len(jobs), figsize=(7.5 * len(jobs), 9), squeeze=False)
    for column, runs in enumerate(jobs):
        for row, (name, what) in enumerate(
            [("memory_bytes", "resident memory above the start, MiB"), ("file_bytes", "file size, MiB")]
        ):
            axis = axes[row][column]
            for run in runs:
                if not run.samples:
                    continue
                seconds = [sample.seconds for sample in run.samples]
                sizes = [getattr(sample, name) / 2**20 for sample in run.samples]
                style = {"color": KINDS[run.store].colour, "linewidth": 2.2 if run.store == "rshelve" else 1.6}
                axis.plot(seconds, sizes, label=f"{run.store} ({run.durability})", **style)
                axis.plot(seconds[-1], sizes[-1], marker="o", markersize=5, color=style["color"])
            axis.set_ylim(bottom=0)
            axis.set_xlim(left=0)
            axis.set_ylabel(what)
            axis.set_xlabel("seconds since the open: store all, read all at random, read all in order")
            axis.grid(alpha=0.25)
        axes[0][column].set_title(title(runs), fontsize=13, fontweight="bold", pad=64)
        axes[0][column].legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, fontsize=10, borderaxespad=0.2
        )
    version = ".".join(map(str, sys.version_info[:3]))
    figure.suptitle(f"rshelve, sqlitedict and the standard shelve at their defaults, Python {version}", fontsize=14)
    figure.tight_layout(rect=(0, 0, 1, 0.98), h_pad=2.0, w_pad=3.0)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
