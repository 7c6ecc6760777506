"""What is stored: generated paragraphs under random keys, and the standard library's source.

Every value can be made again from its key, so a reader can check what it reads and neither
process has to remember it.
"""

from __future__ import annotations

import ast
import os
import pickle
import random
import sysconfig
import tokenize
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_WORDS = (
    "the of and to in is that it was for on are as with they at be this from have or by one had not but what all were "
    "when we there can an your which their said if do will each about how up out them then she many some so these would "
    "other into has more her two like him see time could no make than first been its who now people my made over did "
    "down only way find use may water long little very after words called just where most know parrot swallow coconut "
    "shrubbery knight castle spam lumberjack cheese inquisition grail"
).split()
_TEXT_CHARACTERS = 1 << 18
_SHORTEST, _LONGEST = 200, 1000


class Paragraphs:
    """The classic program's records: 10 random bytes as key, 200 to 1,000 characters as value."""

    def __init__(self, count: int, seed: int = 7) -> None:
        rng = random.Random(seed)
        sentences: list[str] = []
        size = 0
        while size < _TEXT_CHARACTERS:
            sentence = " ".join(rng.choices(_WORDS, k=rng.randint(5, 18))).capitalize() + ". "
            sentences.append(sentence)
            size += len(sentence)
        self._text = "".join(sentences)
        self.keys = [rng.randbytes(10) for _ in range(count)]

    def value(self, key: bytes) -> str:
        """The paragraph that belongs to `key`."""
        length = _SHORTEST + int.from_bytes(key[:2], "big") % (_LONGEST - _SHORTEST + 1)
        start = int.from_bytes(key[2:6], "big") % (_TEXT_CHARACTERS - _LONGEST)
        return self._text[start : start + length]


def write_corpus(path: Path, progress: Callable[[int, int], None]) -> int:
    """Read the standard library's source files and write their records to `path`, one by one.

    A record is the file's path and a dict of its text, its number of lines and what its syntax
    tree is made of. Returns how many there are.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    sources = sorted(_sources(root))
    count = 0
    with open(path, "wb") as out:
        for at, source in enumerate(sources):
            progress(at, len(sources))
            try:
                with tokenize.open(source) as file:
                    text = file.read()
            except (SyntaxError, UnicodeDecodeError):
                continue  # some test files are broken on purpose
            record = {"text": text, "lines": text.count("\n"), "tree": _statistics(text)}
            pickle.dump((source.relative_to(root).as_posix(), record), out)
            count += 1
    return count


def read_corpus(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records that `write_corpus` wrote."""
    with open(path, "rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return


def fingerprint(record: dict[str, Any]) -> int:
    """A number that tells a record from a damaged one."""
    return zlib.crc32(pickle.dumps((record["text"], record["lines"], sorted(record["tree"].items()))))


def prefix_of(path: str) -> str:
    """The folder that a corpus path begins with, or the path itself at the top."""
    folder, slash, _ = path.partition("/")
    return folder + slash


def _sources(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in ("site-packages", "__pycache__")]
        yield from (Path(folder, name) for name in files if name.endswith(".py"))


def _statistics(text: str) -> dict[str, int]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    kinds = Counter(type(node).__name__ for node in ast.walk(tree))
    return {"nodes": kinds.total(), **{kind: kinds[kind] for kind in ("FunctionDef", "ClassDef", "Import", "Call")}}
