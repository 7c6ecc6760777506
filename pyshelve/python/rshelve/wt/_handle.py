"""What connections, sessions and cursors have in common: thin objects over the extension's handles.

Each keeps the extension's handle in ``_core``, and reaches it only through that attribute: a subclass
that does not call ``__init__`` and hands unknown attributes on to another object works as that object
does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, ClassVar, TypeVar

__all__ = ["Handle"]

_H = TypeVar("_H", bound="Handle")


class Handle(ABC):
    """A context manager over a handle of the extension: it is closed at the end, if not before."""

    _core: Any
    #: The attribute for what the object belongs to, if it belongs to something.
    _parent: ClassVar[str | None] = None

    def _adopt(self, handle: Any, parent: Any = None) -> None:
        """Be an object for `handle`, the extension's or another object's, that belongs to `parent`.

        Without a handle the object is of no use; without a parent it has the other object's.
        """
        if isinstance(handle, Handle):
            self._core = handle._core
            if parent is None and self._parent is not None:
                parent = getattr(handle, self._parent)
        elif handle is not None:
            self._core = handle
        if parent is not None and self._parent is not None:
            setattr(self, self._parent, parent)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}>"

    def __enter__(self: _H) -> _H:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._core.closed:
            self.close()

    @abstractmethod
    def close(self) -> int:
        """Close it. Closing twice raises."""
