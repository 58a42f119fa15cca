"""The main picture of an AVIF or HEIC file: its colour box, and whether its colours were multiplied by alpha."""

from __future__ import annotations

import io
import struct
import typing

from blindsr_jax.images.containers import box, boxes

_LARGEST = 2**22  # bytes of metadata that are read


class HeifItem(typing.NamedTuple):
    """The properties that a file gives its main picture.

    Attributes:
      nclx: primaries, transfer and matrix by the numbers of ITU-T H.273; None if the file does not give them, or has an
        ICC profile, which goes before them.
      premultiplied: whether alpha is multiplied into the colours.
    """

    nclx: tuple[int, int, int] | None = None
    premultiplied: bool = False


def main_item(file: typing.BinaryIO) -> HeifItem:
    """Read the metadata of an AVIF or HEIC file (ISO 14496-12 and 23008-12). Damaged parts count as absent."""
    place = box(file, 0, file.seek(0, 2), b"meta")
    if place is None or place[1] - place[0] > _LARGEST:
        return HeifItem()
    file.seek(place[0])
    meta = file.read(place[1] - place[0])
    try:
        return _item_of(meta)
    except (struct.error, IndexError):
        return HeifItem()


def _item_of(meta: bytes) -> HeifItem:
    parts = {name: meta[start:end] for name, start, end in _boxes(meta, 4)}
    head = parts.get(b"pitm", b"")
    item = struct.unpack_from(">I" if head[:1] > b"\0" else ">H", head, 4)[0] if head else None
    return HeifItem(_nclx(parts.get(b"iprp", b""), item), _premultiplied(parts.get(b"iref", b""), item))


def _nclx(iprp: bytes, item: int | None) -> tuple[int, int, int] | None:
    """The colour numbers that belong to an item; those of any item, such as a tile, if it has none itself."""
    parts = {name: iprp[start:end] for name, start, end in _boxes(iprp)}
    ipco, own = parts.get(b"ipco", b""), _properties_of(parts.get(b"ipma", b""), item)
    found = {}
    for number, (name, start, end) in enumerate(_boxes(ipco), 1):
        if name == b"colr" and ipco[start : start + 4] in (b"prof", b"rICC"):
            return None
        if name == b"colr" and ipco[start : start + 4] == b"nclx" and end - start >= 10:
            found[number] = struct.unpack_from(">3H", ipco, start + 4)
    return next((found[number] for number in own if number in found), next(iter(found.values()), None))


def _properties_of(ipma: bytes, item: int | None) -> list[int]:
    """Numbers of an item's properties, from 1."""
    if not ipma:
        return []
    identity, wide = ">I" if ipma[0] else ">H", ipma[3] & 1
    count, at = struct.unpack_from(">I", ipma, 4)[0], 8
    for _ in range(count):
        found = struct.unpack_from(identity, ipma, at)[0]
        at += struct.calcsize(identity)
        numbers = struct.unpack_from(f">{ipma[at]}{'H' if wide else 'B'}", ipma, at + 1)
        at += 1 + ipma[at] * (2 if wide else 1)
        if found == item:
            return [number & (0x7FFF if wide else 0x7F) for number in numbers]
    return []


def _premultiplied(iref: bytes, item: int | None) -> bool:
    if not iref:
        return False
    identity = ">I" if iref[0] else ">H"
    owners = [struct.unpack_from(identity, iref, start)[0] for name, start, _ in _boxes(iref, 4) if name == b"prem"]
    return item in owners


def _boxes(data: bytes, start: int = 0) -> typing.Iterator[tuple[bytes, int, int]]:
    return boxes(io.BytesIO(data), start, len(data))
