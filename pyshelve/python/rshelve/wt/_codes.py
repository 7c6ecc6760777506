"""The numbers of errors."""

from __future__ import annotations

from typing import Final

WT_ROLLBACK: Final = -31800
WT_DUPLICATE_KEY: Final = -31801
WT_ERROR: Final = -31802
WT_NOTFOUND: Final = -31803
WT_PANIC: Final = -31804
WT_RESTART: Final = -31805
WT_RUN_RECOVERY: Final = -31806
WT_CACHE_FULL: Final = -31807
WT_PREPARE_CONFLICT: Final = -31808
WT_TRY_SALVAGE: Final = -31809
#: The older name of WT_ROLLBACK.
WT_DEADLOCK: Final = WT_ROLLBACK
