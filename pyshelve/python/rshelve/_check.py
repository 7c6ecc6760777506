"""Whether a file is whole, and what can be saved when it is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rshelve import _rshelve
from rshelve.dbm import Path

Progress = Callable[["str | None", int, int, int], object]
"""Called with the table under way, the blocks and bytes read so far, and the bytes there are to read."""


@dataclass(frozen=True)
class TableCheck:
    """What `verify` found in one table."""

    name: str
    rows: int
    blocks: int
    bytes: int
    long_values: int


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found. It is true when nothing is wrong; as a string it says everything.

    Attributes
    ----------
    tables
        Each table, in order of names.
    problems
        What is wrong and where, the first thousand findings; `problem_count` says how many there are.
    remarks
        What is odd and harmless.
    reached_bytes, free_bytes, unreached_bytes
        How the file's space is used. What is in use and not reached is lost, and harmless.
    log_records
        Records of the log that a crash left, which the next open applies.
    """

    tables: tuple[TableCheck, ...]
    problems: tuple[str, ...]
    problem_count: int
    remarks: tuple[str, ...]
    reached_bytes: int
    free_bytes: int
    unreached_bytes: int
    log_records: int
    text: str

    def __bool__(self) -> bool:
        return self.problem_count == 0

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class SalvagedTable:
    """What became of a table.

    Attributes
    ----------
    name
        Its name in the new file.
    rows
        The rows that were saved, before the log was applied.
    rows_expected
        The rows that the old file counted; None where that is lost.
    rows_stale
        Of the saved ones, those that may be out of date, or of deleted keys.
    rows_lost
        The rows that are known to be lost.
    lost_ranges
        Ranges of stored keys whose page could not be read: the first, and the one behind the last or None.
    lost_values
        Stored keys whose long values could not be read.
    """

    name: str
    rows: int
    rows_expected: int | None
    rows_stale: int
    rows_lost: int
    lost_ranges: tuple[tuple[bytes, bytes | None], ...]
    lost_values: tuple[bytes, ...]


@dataclass(frozen=True)
class SalvageReport:
    """What `salvage` saved. It is true when nothing was lost; as a string it says everything."""

    tables: tuple[SalvagedTable, ...]
    log_records: int
    remarks: tuple[str, ...]
    whole: bool
    text: str

    def __bool__(self) -> bool:
        return self.whole

    def __str__(self) -> str:
        return self.text


def _path(path: Path) -> str:
    return os.path.abspath(os.fsdecode(path))


def verify_report(found: dict[str, Any]) -> VerifyReport:
    """Name what the extension found."""
    tables = tuple(TableCheck(**table) for table in found["tables"])
    named = {name: found[name] for name in VerifyReport.__dataclass_fields__}
    named.update(tables=tables, problems=tuple(found["problems"]), remarks=tuple(found["remarks"]))
    return VerifyReport(**named)


def verify(path: Path, progress: Progress | None = None) -> VerifyReport:
    """Look at everything that the last checkpoint of a file reaches, and at the log that a crash left.

    Nothing is changed. Another process may have the file open.

    Parameters
    ----------
    path
        The file.
    progress
        Called now and then with the table under way (None for the catalog), the blocks and the bytes read
        so far, and the bytes there are to read. What it raises ends the work.

    Returns
    -------
    VerifyReport
        True when nothing is wrong.

    Raises
    ------
    rshelve.error
        When the file is something else, or damaged so that nothing of it can be looked at.

    Examples
    --------
    >>> import rshelve
    >>> with rshelve.open("spam") as shelf:
    ...     shelf["eggs"] = 3
    >>> report = rshelve.verify("spam")
    >>> bool(report), report.tables[0].rows
    (True, 1)
    """
    return verify_report(_rshelve.verify(_path(path), progress))


def salvage(path: Path, new_path: Path, progress: Progress | None = None) -> SalvageReport:
    """Save what can be read of a damaged file into a new one.

    The trees are followed as far as they go; what pages cannot be read is then searched for in the whole
    file, and the log is applied as far as it goes. The damaged file is not changed.

    Parameters
    ----------
    path
        The damaged file; nobody may have it open for writing.
    new_path
        The new file, which may not exist.
    progress
        As for `verify`.

    Returns
    -------
    SalvageReport
        True when nothing was lost.

    Raises
    ------
    rshelve.error
        When the file is no database at all, or the new one cannot be written.

    Examples
    --------
    >>> import rshelve
    >>> with rshelve.open("spam") as shelf:
    ...     shelf["eggs"] = 3
    >>> report = rshelve.salvage("spam", "saved")
    >>> bool(report)
    True
    >>> with rshelve.open("saved") as shelf:
    ...     shelf["eggs"]
    3
    """
    found = _rshelve.salvage(_path(path), _path(new_path), progress)
    tables = tuple(
        SalvagedTable(**{**table, "lost_ranges": tuple(table["lost_ranges"]), "lost_values": tuple(table["lost_values"])})
        for table in found["tables"]
    )
    return SalvageReport(tables, found["log_records"], tuple(found["remarks"]), found["whole"], found["text"])
