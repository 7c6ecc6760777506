"""The numbers of the statistics, for a cursor on ``statistics:``.

>>> from rshelve import wt
>>> import os; os.mkdir("stats")
>>> with wt.wiredtiger_open("stats", "create") as connection, connection.open_session() as session:
...     with session.open_cursor("statistics:") as cursor:
...         cursor[wt.stat.conn.checkpoints][0]
'checkpoints'
"""

from __future__ import annotations

from typing import Final

__all__ = ["conn", "dsrc", "session"]


class conn:
    """Of the database."""

    blocks_read: Final = 1000
    block_bytes_read: Final = 1001
    blocks_written: Final = 1002
    block_bytes_written: Final = 1003
    commits: Final = 1004
    rollbacks: Final = 1005
    conflicts: Final = 1006
    checkpoints: Final = 1007
    pages_evicted: Final = 1008
    pages_written_by_eviction: Final = 1009
    pages_rebuilt: Final = 1010
    pages_split: Final = 1011
    log_bytes: Final = 1012
    log_syncs: Final = 1013
    cache_waits: Final = 1014
    remnants_left: Final = 1015
    remnant_reads: Final = 1016
    rows_read_alone: Final = 1017
    cache_bytes: Final = 1018
    file_bytes: Final = 1019

    # WiredTiger's names for the same.
    block_read: Final = blocks_read
    block_byte_read: Final = block_bytes_read
    block_write: Final = blocks_written
    block_byte_write: Final = block_bytes_written
    txn_commit: Final = commits
    txn_rollback: Final = rollbacks
    txn_update_conflict: Final = conflicts
    log_bytes_written: Final = log_bytes
    log_sync: Final = log_syncs
    cache_bytes_inuse: Final = cache_bytes


class dsrc:
    """Of a table. There are none yet."""


class session:
    """Of a session. There are none yet."""
