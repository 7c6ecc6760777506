"""rshelve beside other stores, through Python: see `run.sh`, which makes the environment for it.

Each store runs in a process of its own (`worker`), one after the other in every round, so that a noisy
minute meets all of them. Figures are medians over the rounds; the last column compares ours with the
best peer of the same round among those that promise as much, with Student's 95 % interval of the mean
of the ratios' logarithms.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OURS, FLOOR = "rshelve", "dict"
STORES = ["rshelve", "lmdb", "lmdbm", "rocksdict", "plyvel", "semidbm", "diskcache", "sqlitedict", "shelve",
          "wiredtiger", "dict"]
TIMES = ("open, new", "open", "close")
#: Two-sided 95 % factors of Student's distribution, from one degree of freedom on.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
           2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)

#: One store's answer in one round.
Answer = dict[str, Any]


def interpreter(store: str) -> str:
    """What runs the store: this, or what has a WiredTiger."""
    if store == "wiredtiger":
        return os.environ.get("RSHELVE_WIREDTIGER_PYTHON", sys.executable)
    return sys.executable


def is_installed(store: str) -> bool:
    module = {"shelve": "shelve", "dict": "shelve"}.get(store, store)
    probe = [interpreter(store), "-c", f"import {module}"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def measure(store: str, values: str, arguments: argparse.Namespace, seed: int) -> Answer | str:
    """One store in one round, or why not."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        command = [interpreter(store), str(HERE / "worker.py"), store, values]
        command += [str(arguments.records), str(seed), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it ended"
    answer: Answer = json.loads(done.stdout)
    return answer


def figure(row: str, seconds: float, records: int) -> float:
    """Operations per second, or, for openings and closings, seconds."""
    if row in TIMES:
        return seconds
    walked = 4 if row.startswith("items,") else 1
    return records * walked / seconds


def show(row: str, value: float) -> str:
    if row in TIMES:
        return f"{value * 1000:.1f} ms"
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.1f}K"


def ratio(ratios: list[float]) -> str:
    """The geometric mean, and its interval from three pairs on."""
    logs = [math.log(value) for value in ratios]
    mean = statistics.fmean(logs)
    if len(logs) < 3:
        return f"{math.exp(mean):.2f}x"
    student = STUDENT[min(len(logs) - 2, len(STUDENT) - 1)]
    half = student * statistics.stdev(logs) / math.sqrt(len(logs))
    return f"{math.exp(mean):.2f}x ({math.exp(mean - half):.2f} to {math.exp(mean + half):.2f})"


class Table:
    """The answers about one form of values, by store and round."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.rounds: list[dict[str, Answer]] = []

    def stores(self) -> list[str]:
        return [store for store in STORES if any(store in answers for answers in self.rounds)]

    def rows(self) -> Iterator[str]:
        seen: dict[str, None] = {}
        for answers in self.rounds:
            for answer in answers.values():
                seen.update(dict.fromkeys(answer["rows"]))
        return iter(seen)

    def of(self, answers: dict[str, Answer], store: str, row: str) -> float | None:
        seconds = answers.get(store, {}).get("rows", {}).get(row)
        return None if seconds is None else figure(row, seconds, self.records)

    def median(self, store: str, row: str) -> float | None:
        found = [value for answers in self.rounds if (value := self.of(answers, store, row)) is not None]
        return statistics.median(found) if found else None

    def promises(self, store: str) -> str:
        return next(str(a[store]["durability"]) for a in self.rounds if store in a)

    def rivals(self) -> list[str]:
        """The peers that promise what ours does."""
        return [store for store in self.stores()
                if store not in (OURS, FLOOR) and self.promises(store) == "process"]

    def comparison(self, row: str) -> str:
        """Ours over the best peer of each round; above one is better."""
        ratios: list[float] = []
        best_ones: dict[str, None] = {}
        for answers in self.rounds:
            theirs = {store: value for store in self.rivals()
                      if (value := self.of(answers, store, row)) is not None}
            ours = self.of(answers, OURS, row)
            if ours is None or not theirs:
                continue
            better = min if row in TIMES else max
            name = better(theirs, key=lambda store: theirs[store])
            best_ones[name] = None
            ratios.append(theirs[name] / ours if row in TIMES else ours / theirs[name])
        return f"{ratio(ratios)} {', '.join(best_ones)}" if ratios else "-"

    def markdown(self) -> str:
        stores = self.stores()
        lines = [f"| | {' | '.join(stores)} | {OURS} / best of its durability |",
                 "|---|" + "---:|" * (len(stores) + 1)]
        lines.append(f"| durability | {' | '.join(map(self.promises, stores))} | |")
        for row in self.rows():
            cells = [self.median(store, row) for store in stores]
            contest = [cell for store, cell in zip(stores, cells, strict=True) if cell and store != FLOOR]
            best = (min if row in TIMES else max)(contest)
            texts = ["-" if cell is None else f"**{show(row, cell)}**" if cell == best else show(row, cell)
                     for cell in cells]
            lines.append(f"| {row} | {' | '.join(texts)} | {self.comparison(row)} |")
        return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stores", help="some of: " + ",".join(STORES))
    parser.add_argument("--values", choices=["pickle", "bytes", "both"], default="both")
    parser.add_argument("--folder", help="where the databases go; the system's temporary folder")
    parser.add_argument("--json", help="a file for the seconds of every round")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    wanted = arguments.stores.split(",") if arguments.stores else STORES
    unknown = set(wanted) - set(STORES)
    if unknown:
        print(f"no such store: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    stores = []
    for store in wanted:
        if is_installed(store):
            stores.append(store)
        else:
            print(f"left out: {store} is not installed", file=sys.stderr)
    forms = ["pickle", "bytes"] if arguments.values == "both" else [arguments.values]
    tables = {form: Table(arguments.records) for form in forms}
    for number in range(arguments.rounds):
        for form, table in tables.items():
            answers: dict[str, Answer] = {}
            # Each round begins with another store.
            for store in stores[number % len(stores):] + stores[: number % len(stores)]:
                answer = measure(store, form, arguments, arguments.seed + number)
                if isinstance(answer, str):
                    print(f"round {number + 1}: {store}, {form}: {answer}", file=sys.stderr)
                else:
                    answers[store] = answer
            table.rounds.append(answers)
            print(f"round {number + 1} of {arguments.rounds}: {form}", file=sys.stderr)
    report(arguments, tables)
    return 0


def report(arguments: argparse.Namespace, tables: dict[str, Table]) -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}"
    print(f"{machine}; Python {platform.python_version()}; {arguments.records} records, "
          f"{arguments.rounds} round(s), seed {arguments.seed}; operations per second\n")
    versions: dict[str, str] = {}
    for table in tables.values():
        for answers in table.rounds:
            versions.update({store: answer["version"] for store, answer in answers.items()})
    print("Versions: " + ", ".join(f"{store} {text}" for store, text in versions.items() if text) + "\n")
    titles = {"pickle": "Pickled dicts of about 300 bytes", "bytes": "The same pickles as bytes, in and out"}
    for form, table in tables.items():
        print(f"{titles[form]}:\n\n{table.markdown()}\n")
    if arguments.json:
        found = {form: table.rounds for form, table in tables.items()}
        about = {"machine": machine, "records": arguments.records, "seed": arguments.seed, "rounds": found}
        Path(arguments.json).write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    sys.exit(main())
