"""``python -m rshelve.demo``: run the demo, print the tables, draw the picture."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from rshelve.demo import jobs, report
from rshelve.demo.measure import Run, measure
from rshelve.demo.stores import KINDS

_BAR_CELLS = 30


class Bar:
    """A progress bar on a terminal; on anything else, nothing."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()

    def show(self, what: str, done: int, total: int) -> None:
        """Draw it again."""
        if self.shown:
            part = min(done / total, 1.0) if total else 1.0
            filled = round(part * _BAR_CELLS)
            bar = "#" * filled + "." * (_BAR_CELLS - filled)
            sys.stderr.write(f"\r\x1b[K{what:<28} [{bar}] {part:4.0%}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take it away."""
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rshelve.demo", description=__doc__)
    parser.add_argument("-n", "--records", type=int, default=100_000, help="records of the classic program")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for the picture and the figures")
    parser.add_argument("--stores", nargs="+", choices=list(KINDS), default=list(KINDS), help="which stores to run")
    parser.add_argument("--seconds", type=float, default=20.0, help="the most that one phase of one store may take")
    parser.add_argument("--keep", action="store_true", help="keep the databases, in the same folder")
    arguments = parser.parse_args()
    if arguments.records < 1:
        parser.error("there must be at least one record")
    return arguments


def _available(names: list[str]) -> list[str]:
    found = [name for name in names if name in ("rshelve", "shelve") or importlib.util.find_spec(name)]
    for name in set(names) - set(found):
        print(f"{name} is not installed and is left out", file=sys.stderr)
    return found


def _run_job(job: str, names: list[str], folder: Path, tail: list[str], bar: Bar) -> list[Run]:
    runs = []
    for name in names:

        def progress(phase: str, done: int, total: int, name: str = name) -> None:
            bar.show(f"{job}: {name} {phase}", done, total)

        runs.append(measure(job, name, folder / job / name, tail, progress))
        bar.clear()
    print(f"\n{report.title(runs)}\n\n{report.table(runs)}", flush=True)
    return runs


def main() -> int:
    """Run it; 0 if every store gave back what it was given."""
    arguments = _arguments()
    began = time.monotonic()
    names = _available(arguments.stores)
    arguments.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="databases-", dir=arguments.out))
    bar = Bar()
    try:
        seconds = str(arguments.seconds)
        done = [_run_job("classic", names, folder, [str(arguments.records), seconds], bar)]
        corpus = folder / "corpus.pickle"
        count = jobs.write_corpus(corpus, lambda at, total: bar.show("corpus: reading sources", at, total))
        bar.clear()
        done.append(_run_job("corpus", names, folder, [str(count), seconds, str(corpus)], bar))
    finally:
        bar.clear()
        if not arguments.keep:
            shutil.rmtree(folder)
    figures = arguments.out / "demo.json"
    figures.write_text(json.dumps([asdict(run) for runs in done for run in runs], indent=1))
    if importlib.util.find_spec("matplotlib"):
        picture = arguments.out / "demo.png"
        report.draw(done, picture)
        print(f"\nmemory and file size over time: {picture}")
    print(f"every value was read back and compared; {time.monotonic() - began:.0f} s in all")
    return 1 if any(run.failure for runs in done for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
