"""Rows read straight from the pages of a damaged SQLite file and of its log, without any tree that leads to them.

Every page that says it is a leaf of a table is taken at its word; whatever decodes to a record of the right number of
values is handed on, from pages in use, freed or superseded alike. None of it is believed here: a row's digest tells.
Format: https://www.sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4.1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

Record = tuple[object, ...]
PageOf = Callable[[int], bytes | None]

LEAF = 0x0D
HEADER, LOG_HEADER, FRAME_HEADER = 100, 32, 24
USUAL_PAGE = 4096
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class _UnreadableError(Exception):
    """These bytes are no record."""


def records(path: Path, log: Path) -> Iterator[Record]:
    """Yield the values of every record in the table leaves of a database file, then of its log, if readable."""
    size = _page_size(path, log)
    with path.open("rb") as file:

        def stored(number: int) -> bytes | None:
            file.seek((number - 1) * size)
            page = file.read(size) if number > 0 else b""
            return page if len(page) == size else None

        number = 1
        while (page := stored(number)) is not None:
            yield from _of_page(page, HEADER if number == 1 else 0, stored)
            number += 1
        if log.exists():
            yield from _of_log(log, size, stored)


def _of_log(log: Path, size: int, stored: PageOf) -> Iterator[Record]:
    """Yield the records of every frame, old ones included; a page that the log has not got is in the file."""
    content = log.read_bytes()
    starts = range(LOG_HEADER, len(content) - FRAME_HEADER - size + 1, FRAME_HEADER + size)
    numbers = [int.from_bytes(content[start : start + 4], "big") for start in starts]
    latest = dict(zip(numbers, starts, strict=True))

    def page_at(start: int) -> bytes:
        return content[start + FRAME_HEADER : start + FRAME_HEADER + size]

    def current(number: int) -> bytes | None:
        return page_at(latest[number]) if number in latest else stored(number)

    for number, start in zip(numbers, starts, strict=True):
        yield from _of_page(page_at(start), HEADER if number == 1 else 0, current)


def _page_size(path: Path, log: Path) -> int:
    """Return the page size that file or log declare, or the usual one."""
    with path.open("rb") as file:
        declared = int.from_bytes(file.read(18)[16:18], "big")
    sizes = [65536 if declared == 1 else declared]
    if log.exists():
        with log.open("rb") as file:
            sizes.append(int.from_bytes(file.read(12)[8:12], "big"))
    return next((size for size in sizes if 512 <= size <= 65536 and size & (size - 1) == 0), USUAL_PAGE)


def _of_page(page: bytes, start: int, page_of: PageOf) -> Iterator[Record]:
    if page[start] != LEAF:
        return
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for place in range(start + 8, min(start + 8 + 2 * count, len(page) - 1), 2):
        try:
            yield _decoded(_payload(page, int.from_bytes(page[place : place + 2], "big"), page_of))
        except _UnreadableError:
            continue


def _payload(page: bytes, place: int, page_of: PageOf) -> bytes:
    """Return the payload of the cell at `place`, the pages that it spills over to included."""
    length, place = _varint(page, place)
    _, place = _varint(page, place)
    usable = len(page)
    local = length
    if length > usable - 35:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= usable - 35 else least
    if length == 0 or place + local > usable:
        raise _UnreadableError
    parts, missing = [page[place : place + local]], length - local
    follower = int.from_bytes(page[place + local : place + local + 4], "big")
    while missing > 0:
        spilt = page_of(follower)
        if spilt is None:
            raise _UnreadableError
        parts.append(spilt[4 : 4 + missing])
        missing -= len(parts[-1])
        follower = int.from_bytes(spilt[:4], "big")
    return b"".join(parts)


def _decoded(payload: bytes) -> Record:
    """Return the values of a record: a list of types, then the values."""
    end, place = _varint(payload, 0)
    if not 0 < end <= len(payload):
        raise _UnreadableError
    types, values, body = [], [], end
    while place < end:
        kind, place = _varint(payload, place)
        types.append(kind)
    for kind in types:
        value, body = _value(payload, kind, body)
        values.append(value)
    return tuple(values)


def _value(payload: bytes, kind: int, place: int) -> tuple[object, int]:
    """Return the value of the given serial type at `place`, and the place behind it."""
    if kind in (0, 8, 9):
        return (None if kind == 0 else kind - 8), place
    if kind in (10, 11):
        raise _UnreadableError
    length = _INTEGER_BYTES[kind] if kind < 7 else 8 if kind == 7 else (kind - 12) // 2
    raw, behind = payload[place : place + length], place + length
    if len(raw) != length:
        raise _UnreadableError
    if kind < 7:
        return int.from_bytes(raw, "big", signed=True), behind
    if kind == 7:
        return struct.unpack(">d", raw)[0], behind
    if kind % 2 == 0:
        return raw, behind
    try:
        return raw.decode(), behind
    except UnicodeDecodeError:
        raise _UnreadableError from None


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the number of 1 to 9 bytes at `place`, and the place behind it."""
    number = 0
    for k in range(9):
        if place + k >= len(data):
            raise _UnreadableError
        byte = data[place + k]
        if k == 8:
            return (number << 8) | byte, place + 9
        number = (number << 7) | (byte & 0x7F)
        if byte < 0x80:
            break
    return number, place + k + 1
