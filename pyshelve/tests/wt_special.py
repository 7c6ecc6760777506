"""What `wt_driver` draws beside the calls on a table's cursors: bulk, random, metadata and statistics
cursors, named checkpoints and the cursors that read them, schema operations, options.

Each function is one step of a program: the driver, a session, and one of its cursors. Cursors that a
step opens for itself have numbers from 200 on, and are closed when it ends; those of checkpoints live
as long as the program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wt_common import NOTFOUND

if TYPE_CHECKING:
    from wt_common import SessionModel
    from wt_driver import Driver

OWN = 200
TWIN = 201
PAST = 300
BUSY = ["raises", "WiredTigerError", "Device or resource busy"]
INVALID = ["raises", "WiredTigerError", "Invalid argument"]
MISSING = ["raises", "WiredTigerError", "No such file or directory"]
REFUSED = ["raises", "WiredTigerError", "Operation not supported"]
DONE = ["is", 0]


# Bulk cursors: row 12.


def bulk(driver: Driver, model: SessionModel, cursor: int) -> None:
    """A new table is filled, and then looked at and dropped."""
    draw, formats = driver.draw, driver.formats
    uri = f"table:bulk{driver.programs}"
    if model.in_transaction:
        driver.same("open_cursor", OWN, model.number, driver.uri, "bulk")
        return
    driver.same("s.create", model.number, uri, formats.config())
    if driver.same("open_cursor", OWN, model.number, uri, draw.choice(["bulk", "bulk=true"]))[0] != "is":
        return
    keys = sorted((formats.key() for _ in range(draw.randrange(12))), key=str)
    for key in keys:
        if draw.random() < 0.2:
            bulk_call(driver, model, uri)
        driver.same("c.set_key", OWN, key)
        driver.same("c.set_value", OWN, formats.value())
        if driver.same("c.insert", OWN) == DONE and draw.random() < 0.5:
            driver.same("c.get_key", OWN)
            driver.same("c.get_value", OWN)
    bulk_call(driver, model, uri)
    driver.same("close_cursor", OWN)
    # Ours has taken a checkpoint.
    driver.same("s.checkpoint", model.number)
    driver.level_all(model)
    driver.same("open_cursor", OWN, model.number, uri, "")
    rows = driver.same("rows", OWN)
    driver.same("close_cursor", OWN)
    if rows != ["is", []]:
        # One without rows can be filled again here, and not there, where it cannot be dropped then.
        driver.same("open_cursor", OWN, model.number, uri, "bulk")
    driver.same("s.drop", model.number, uri, "")


def bulk_call(driver: Driver, model: SessionModel, uri: str) -> None:
    """What a bulk cursor does not do, and what others do not do beside it."""
    draw = driver.draw
    match draw.randrange(8):
        case 0 | 1:
            # What needs a key fails otherwise without one there.
            driver.same("c.set_key", OWN, driver.formats.key())
            call = draw.choice(["next", "prev", "search", "search_near", "update", "remove", "reserve"])
            driver.same(f"c.{call}", OWN)
        case 2:
            driver.same("compare", OWN, OWN)
            driver.same("equals", OWN, OWN)
        case 3:
            driver.same("c.bound", OWN, "action=set,bound=lower")
        case 4:
            driver.same("c.reset", OWN)
            driver.same("c.get_key", OWN)
        case 5:
            ours, theirs = driver.both("c.largest_key", OWN)
            driver.expect("c.largest_key", ours == REFUSED)
            driver.names("row 12: largest_key of a bulk or random cursor is ENOTSUP")
            driver.same("c.reset", OWN)
        case 6:
            driver.same("duplicate", TWIN, model.number, OWN, "")
            driver.same("c.reconfigure", OWN, "overwrite=false")
        case _:
            other = draw.choice(driver.models)
            if other.in_transaction:
                return
            config = draw.choice(["", "bulk"])
            ours, theirs = driver.both("open_cursor", TWIN, other.number, uri, config)
            driver.expect("open_cursor", theirs == BUSY and ours in (["is", None], INVALID))
            driver.names("row 12: others may open the table while it is filled")
            if ours == ["is", None]:
                driver.only(0, "close_cursor", TWIN)
                # A bulk cursor that was opened is a new view of its session; theirs was refused.
                driver.level_all(other)


# Random cursors: row 12.


def random(driver: Driver, model: SessionModel, cursor: int) -> None:
    draw = driver.draw
    if model.refuses_writes():
        # An assertion of its debug build, without a snapshot.
        return
    if not model.in_transaction:
        driver.level_all(model)
    driver.level(cursor)
    rows = driver.same("rows", cursor)
    driver.level(cursor)
    if rows[0] != "is":
        return
    keys = [["is", row[0] if len(row) == 2 else row[:2]] for row in rows[1]]
    config = draw.choice(["", ",readonly", ",raw", ",next_random_sample_size=5", ",overwrite=false"])
    driver.same("open_cursor", OWN, model.number, driver.uri, "next_random=true" + config)
    for _ in range(draw.randint(1, 5)):
        jump(driver, keys)
        random_call(driver, model, bool(keys))
    driver.same("close_cursor", OWN)


def jump(driver: Driver, keys: list[Any]) -> bool:
    """One `next`: any of the rows that there are."""
    moved = driver.both("c.next", OWN)
    driver.expect("c.next", moved[0] == (DONE if keys else ["is", NOTFOUND]))
    found = driver.both("c.get_key", OWN)
    for code, key in zip(moved, found, strict=True):
        if code == DONE:
            driver.expect("c.next", key in keys)
        else:
            driver.expect("c.next", code == ["is", NOTFOUND])
            driver.expect("c.get_key", key == INVALID)
    if moved[0] != moved[1]:
        driver.names("row 12: a random cursor finds a record if there is one")
    return moved[0] == moved[1] == DONE


def random_call(driver: Driver, model: SessionModel, is_filled: bool) -> None:
    """What a random cursor does not do, and the little that it does."""
    match driver.draw.randrange(6):
        case 0 | 1:
            driver.same("c.set_key", OWN, driver.formats.key())
            driver.same("c.set_value", OWN, driver.formats.value())
            calls = ["prev", "search", "search_near", "insert", "update", "remove"]
            driver.same(f"c.{driver.draw.choice(calls)}", OWN)
            driver.same("c.get_key", OWN)
            # Its debug build ends when `next` comes with a key that is set.
            driver.same("c.reset", OWN)
        case 2:
            driver.same("compare", OWN, OWN)
            driver.same("c.set_key", OWN, driver.formats.key())
            driver.same("equals", OWN, OWN)
            driver.same("c.reset", OWN)
        case 3:
            driver.same("c.bound", OWN, driver.draw.choice(["action=set,bound=lower", "action=clear"]))
            driver.same("c.reset", OWN)
        case 4:
            driver.same("c.reset", OWN)
            driver.same("c.get_value", OWN)
        case _:
            driver.same("c.reconfigure", OWN, "overwrite=false")


# Metadata and statistics.


def metadata(driver: Driver, model: SessionModel, cursor: int) -> None:
    """The tables that there are, and their formats. Theirs lists its files, and itself, as well."""
    draw = driver.draw
    uri = draw.choice(["metadata:", "metadata:create"])
    # Its debug build ends over `raw` where it makes the rows.
    config = draw.choice(["", "", "readonly", "overwrite=false", "raw" if uri == "metadata:" else ""])
    driver.same("open_cursor", OWN, model.number, uri, config)
    tables = []
    for answer in driver.both("rows", OWN):
        driver.expect("rows", answer[0] == "is")
        tables.append({key: formats_of(value) for key, value in answer[1] if key.startswith("table:")})
    driver.expect("rows", tables[0] == tables[1] and driver.uri in tables[0])
    for _ in range(draw.randint(1, 4)):
        is_there = draw.random() < 0.5
        driver.same("c.set_key", OWN, driver.uri if is_there else "table:nothing")
        call = draw.choice(["search", "search", "insert", "update", "remove", "reserve"])
        if call in ("insert", "update"):
            driver.same("c.set_value", OWN, "key_format=u")
        answer = driver.same(f"c.{call}", OWN)
        if answer == DONE:
            driver.same("c.get_key", OWN)
        driver.same("c.reset", OWN)
    driver.same(draw.choice(["c.next", "c.prev"]), OWN)
    driver.same("close_cursor", OWN)


def formats_of(config: str) -> tuple[str, str]:
    """The formats in a configuration string."""
    words = dict(word.partition("=")[::2] for word in config.split(","))
    return words["key_format"], words["value_format"]


def statistics(driver: Driver, model: SessionModel, cursor: int) -> None:
    """The numbers, which are theirs, and the shape of the values, which are not."""
    draw = driver.draw
    config = draw.choice(["", "", "statistics=(fast)", "readonly", "raw", "statistics=(all,clear)"])
    driver.same("open_cursor", OWN, model.number, "statistics:", config)
    numbers = []
    for side, answer in enumerate(driver.both("rows", OWN)):
        driver.expect("rows", answer[0] == "is")
        for number, name, text, value in answer[1]:
            kinds = [type(number), type(name), type(text), type(value)]
            driver.expect("rows", kinds == [int, str, str, int])
            # Some of theirs are percentages.
            driver.expect("rows", side == 1 or text == str(value))
        numbers.append([row[0] for row in answer[1]])
    driver.expect("rows", numbers[0] == numbers[1][: len(numbers[0])] != [])
    for _ in range(draw.randint(1, 4)):
        driver.same("c.set_key", OWN, draw.choice([numbers[0][0], draw.choice(numbers[0]), 9_999_999, -1]))
        call = draw.choice(["search", "search", "insert", "update", "remove", "reserve"])
        if driver.same(f"c.{call}", OWN) == DONE:
            driver.same("c.get_key", OWN)
        driver.same("c.reset", OWN)
        driver.same("c.get_value", OWN)
    driver.same(draw.choice(["c.next", "c.prev"]), OWN)
    driver.same("c.bound", OWN, "action=set,bound=lower")
    driver.same("c.largest_key", OWN)
    driver.same("close_cursor", OWN)


# Checkpoints: row 25.


def checkpoint(driver: Driver, model: SessionModel, cursor: int) -> None:
    """One is taken, or dropped."""
    draw, known = driver.draw, driver.checkpoints
    if model.in_transaction:
        config = draw.choice(["", "name=one", "drop=(one)"])
        driver.same("s.checkpoint", model.number, config)
        return
    name = draw.choice(["one", "two", "three"])
    match draw.randrange(6):
        case 0 | 1 | 2:
            if known.get(name) == "gone":
                return
            answer, kept = driver.same_unless_gone(model, f"name={name}", [name])
            if answer == DONE and kept:
                known[name] = "new"
        case 3:
            listed = draw.sample(["one", "two", "three", "never"], draw.randint(1, 2))
            if any(known.get(name) == "gone" for name in listed):
                return
            answer, _ = driver.same_unless_gone(model, f"drop=({','.join(listed)})", listed)
            if answer == DONE:
                for name in listed:
                    if known.get(name) == "new":
                        del known[name]
        case 4:
            if set(known.values()) - {"new"}:
                # What is held there after its last cursor was closed would go here.
                return
            edge = draw.choice(["from=all", "from=one", "to=two", "to=never", f"from={name}"])
            answer = driver.same("s.checkpoint", model.number, f"drop=({edge})")
            order, at = list(driver.order), edge.split("=")[1]
            if edge == "from=all":
                dropped = order
            elif at not in order:
                dropped = []
            else:
                place = order.index(at)
                dropped = order[place:] if edge.startswith("from") else order[: place + 1]
            for name in dropped:
                del known[name]
        case _:
            driver.same("s.checkpoint", model.number, draw.choice(
                ["name=all", "name=WiredTigerCheckpoint", "force", "nonsense=1", "name="]))
    driver.order = [name for name in driver.order if name in known] + [
        name for name in known if name not in driver.order]
    driver.were_reset(model)


def past(driver: Driver, model: SessionModel, cursor: int) -> None:
    """A cursor of a checkpoint is opened, or does something."""
    draw = driver.draw
    mine = [number for number, owner in driver.past.items() if owner[0] is model]
    if len(mine) < 2 and draw.random() < 0.5:
        open_past(driver, model)
        return
    if not mine:
        return
    number = draw.choice(mine)
    if draw.random() < 0.08:
        close_past(driver, number)
        return
    for _ in range(draw.randint(1, 4)):
        past_call(driver, model, number, draw.choice(mine))


def open_past(driver: Driver, model: SessionModel) -> None:
    draw = driver.draw
    number = next(n for n in range(PAST, PAST + 100) if n not in driver.past)
    name = draw.choice(["one", "one", "two", "three", "WiredTigerCheckpoint", "never"])
    if driver.checkpoints.get(name) == "gone":
        return
    options = draw.choice(["", "", ",overwrite=false", ",readonly", ",raw"])
    config = f"checkpoint={name}{options}"
    if driver.same("open_cursor", number, model.number, driver.uri, config)[0] == "is":
        driver.past[number] = (model, name)
        # The last one may be any of them.
        taken = list(driver.checkpoints) if name == "WiredTigerCheckpoint" else [name]
        for name in taken:
            if driver.checkpoints.get(name) != "gone":
                driver.checkpoints[name] = "used"


def close_past(driver: Driver, number: int) -> None:
    driver.same("close_cursor", number)
    del driver.past[number]


def past_call(driver: Driver, model: SessionModel, number: int, other: int) -> None:
    draw, formats = driver.draw, driver.formats
    match draw.randrange(12):
        case 0 | 1 | 2:
            if driver.same(draw.choice(["c.next", "c.prev"]), number) == DONE:
                driver.look(model, number)
        case 3 | 4:
            driver.same("c.set_key", number, formats.key())
            if driver.same("c.search", number) == DONE:
                driver.look(model, number)
            else:
                driver.same("c.get_key", number)
                driver.same("c.reset", number)
        case 5:
            driver.search_near(model, number, is_past=True)
        case 6:
            driver.same("c.set_key", number, formats.key())
            if draw.random() < 0.7:
                driver.same("c.set_value", number, formats.value())
            driver.same(draw.choice(["c.insert", "c.update", "c.remove", "c.reserve"]), number)
            driver.same("c.reset", number)
        case 7:
            names = {driver.past[number][1], driver.past[other][1]}
            if names & {"WiredTigerCheckpoint"}:
                # Two are of one object there if no checkpoint was taken between them, and if what
                # was taken first had a name.
                return
            driver.same(draw.choice(["compare", "equals"]), number, other)
        case 8:
            driver.same("compare", number, draw.choice(model.cursors))
        case 9 | 10:
            driver.same("c.reset", number)
            driver.same("c.set_key", number, formats.key())
            driver.same("c.bound", number, "action=set,bound=" + draw.choice(["lower", "upper"]))
            for _ in range(3):
                if driver.same("c.next", number) == DONE:
                    driver.same("c.get_key", number)
            driver.same("c.reset", number)
        case _:
            duplicate_past(driver, model, number)


def duplicate_past(driver: Driver, model: SessionModel, number: int) -> None:
    """Theirs reads the table as it is."""
    key = driver.same("c.get_key", number)
    if key[0] != "is" or driver.same("c.search", number) != DONE:
        driver.same("c.reset", number)
        return
    driver.look(model, number)
    ours, theirs = driver.both("duplicate", TWIN, model.number, number, "")
    driver.expect("duplicate", ours == ["is", None] and theirs in (["is", None], MISSING))
    driver.expect("c.get_key", driver.only(0, "c.get_key", TWIN) == key)
    driver.expect("compare", driver.only(0, "compare", TWIN, number) == DONE)
    driver.names("row 25: a duplicate of a checkpoint cursor reads the checkpoint")
    for side, answer in enumerate([ours, theirs]):
        if answer == ["is", None]:
            driver.only(side, "close_cursor", TWIN)


# Schema and options.


def schema(driver: Driver, model: SessionModel, cursor: int) -> None:
    draw, number = driver.draw, model.number
    other = f"table:other{driver.programs}"
    match draw.randrange(12):
        case 0:
            driver.same("s.create", number, driver.uri, driver.formats.config())
        case 1:
            driver.same("s.create", number, driver.uri, driver.formats.config() + ",exclusive")
        case 2:
            driver.same(draw.choice(["s.create", "s.drop"]), number, "nonsense:t", "")
        case 3:
            driver.same("s.drop", number, driver.uri, draw.choice(["", "force"]))
        case 4:
            driver.same("s.drop", number, "table:nothing", draw.choice(["", "force"]))
        case 5:
            driver.same("open_cursor", OWN, number, draw.choice(["table:nothing", "nonsense:t"]), "")
        case 6:
            driver.same("open_cursor", OWN, number, driver.uri, draw.choice(
                ["nonsense=1", "overwrite=perhaps", "checkpoint=never"]))
        case 7:
            driver.same("s.create", number, other, draw.choice(["key_format=!", "nonsense=1"]))
        case 8:
            driver.same("s.create", number, other, "key_format=S,value_format=S")
            driver.same("open_cursor", OWN, number, other, "")
            driver.same("c.set_key", OWN, "other")
            driver.same(draw.choice(["compare", "equals"]), OWN, cursor)
            driver.same("s.drop", number, other, "")
            driver.same("close_cursor", OWN)
            driver.same("s.drop", number, other, "")
        case 9:
            driver.same("truncate", number, "table:nothing", None, None)
            driver.failed_alone(model)
        case 10 if not model.in_transaction:
            wanted = "S" if driver.formats.key_format != "S" else "q"
            ours, theirs = driver.both("s.create", number, driver.uri, f"key_format={wanted}")
            driver.expect("s.create", (ours, theirs) == (INVALID, DONE))
            driver.names("row 26: differing formats are EINVAL")
        case _:
            driver.same("s.strerror", number, draw.choice([0, 2, 16, 17, 22, 95, -31800, -31801, -31803]))


def options(driver: Driver, model: SessionModel, cursor: int) -> None:
    """`reconfigure` of a cursor, or of the session."""
    draw = driver.draw
    if draw.random() < 0.6:
        config = draw.choice(["overwrite=false", "overwrite", "", "append", "nonsense=1", "readonly=false"])
        driver.same("c.reconfigure", cursor, config)
        driver.same("c.get_key", cursor)
        driver.same("c.next", cursor)
        driver.level(cursor)
        return
    if model.in_transaction:
        driver.same("s.reconfigure", model.number, draw.choice(["", "isolation=snapshot", "nonsense=1"]))
        return
    isolation = draw.choice(["snapshot", "snapshot", "read-committed", "read-uncommitted", "perfect"])
    if driver.same("s.reconfigure", model.number, f"isolation={isolation}") == DONE:
        model.is_weak_alone = "-" in isolation
        driver.were_reset(model)


def nul(driver: Driver, model: SessionModel, cursor: int) -> None:
    """Row 28: text with a NUL inside, which theirs cuts there."""
    for call, letters in [("c.set_key", driver.formats.key_format), ("c.set_value", driver.formats.value_format)]:
        if letters == "S" and not model.in_transaction:
            ours, theirs = driver.both(call, cursor, "a\0b")
            driver.expect(call, (ours, theirs) == (INVALID, ["is", None]))
            driver.names("row 28: a NUL inside text is EINVAL")
            driver.same("c.reset", cursor)


def across(driver: Driver, model: SessionModel, cursor: int) -> None:
    """Cursors of two sessions."""
    other = driver.draw.choice(driver.models)
    if other is model or model.in_transaction or other.in_transaction:
        # In which of the two a failure counts is open.
        return
    theirs = driver.draw.choice(other.cursors)
    driver.same(driver.draw.choice(["compare", "equals"]), cursor, theirs)
    driver.same("truncate", model.number, None, cursor, theirs)
    driver.level(cursor)
    driver.level(theirs)
