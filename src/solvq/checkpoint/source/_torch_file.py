"""Files of ``torch.save``: where the bytes of every storage are, in both of its formats."""

from __future__ import annotations

import io
import mmap
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from solvq.checkpoint._container import NUMPY_DTYPES
from solvq.checkpoint.source._archive import open_archive
from solvq.checkpoint.source._torch_pickle import read_pickle
from solvq.files import FormatError

MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x8a\x0a" + MAGIC.to_bytes(10, "little")
SNIFFED = 32  # bytes in which that stands, behind the pickle's protocol and frame
LEGACY_PROTOCOL = 1001
VERSIONS = range(1, 11)
LOCAL_HEADER = 30  # bytes before a member's name
SAVE_AGAIN = "save model.state_dict() with torch.save"


class TorchFile(NamedTuple):
    """Object of a file, and where its storages are: first byte and length by key."""

    root: Any
    records: dict[str, tuple[int, int]]
    big_endian: bool = False


def is_legacy(start: bytes) -> bool:
    """Whether a file that begins so is one of the older format, before zip archives."""
    return start[:1] == b"\x80" and LEGACY_START in start


def read_torch_file(path: Path) -> TorchFile:
    """Contents of a file of ``torch.save``; storages are located, not read.

    Raises
    ------
    FormatError
        If it is no such file, damaged, or asks for more than tensors in plain containers.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(SNIFFED)
        if start[:4] == b"PK\x03\x04":
            return _read_zip(path, file)
        if not start:
            raise FormatError(f"{path}: not a torch checkpoint (the file is empty)")
        if not is_legacy(start):
            raise FormatError(f"{path}: not a torch checkpoint (no zip archive, no torch pickle)")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            try:
                return _read_legacy(mapped)
            except FormatError as error:
                raise FormatError(f"{path}: not a valid torch checkpoint ({error})") from None


def _read_legacy(mapped: mmap.mmap) -> TorchFile:
    """The format before PyTorch 1.6: five pickles, then storages, little-endian everywhere."""
    file = cast(IO[bytes], mapped)
    magic, protocol, _system, model, listed = (read_pickle(file) for _ in range(5))
    if magic.root != MAGIC or protocol.root != LEGACY_PROTOCOL:
        raise FormatError("of an unknown version")
    keys = listed.root
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise FormatError("its list of storages is damaged")
    if len(keys) != len(model.storages) or set(keys) != set(model.storages):
        raise FormatError("its list of storages does not fit its pickle")
    records, position = {}, mapped.tell()
    for key in keys:
        storage = model.storages[key]
        length = int.from_bytes(mapped[position : position + 8], "little")
        records[key] = position + 8, storage.record
        position += 8 + storage.record
        if position > len(mapped):
            raise FormatError(f"storage {key!r} reaches beyond the end of the file")
        if length * NUMPY_DTYPES[storage.dtype].itemsize != storage.record:
            raise FormatError(f"storage {key!r} is not as long as its pickle says")
    return TorchFile(model.root, records)


def _read_zip(path: Path, file: IO[bytes]) -> TorchFile:
    """The format since PyTorch 1.6: a zip archive of a pickle and one member a storage."""
    archive, members = open_archive(path)
    archive.close()
    homes = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    homes = [home for home in homes if "/" not in home]
    if len(homes) != 1:
        raise FormatError(
            f"{path}: not a torch checkpoint (no data.pkl in it; is it NumPy's .npz?)"
        )
    home = homes[0] + "/"
    if f"{home}constants.pkl" in members or any(n.startswith(f"{home}code/") for n in members):
        raise FormatError(f"{path}: is a TorchScript archive, a program; {SAVE_AGAIN}")
    records = {
        name.removeprefix(home): _record(path, member, file)
        for name, member in members.items()
        if name.startswith(home)
    }

    def content(name: str, default: bytes) -> bytes:
        if name not in records:
            return default
        file.seek(records[name][0])
        return file.read(records[name][1])

    version, order = content("version", b"").strip(), content("byteorder", b"little")
    if not version.isdigit() or int(version[:9]) not in VERSIONS:
        raise FormatError(f"{path}: not a valid torch checkpoint (version {version[:20]!r})")
    if order not in (b"little", b"big"):
        raise FormatError(f"{path}: not a valid torch checkpoint (byte order {order[:20]!r})")
    try:
        root = read_pickle(io.BytesIO(content("data.pkl", b""))).root
    except FormatError as error:
        raise FormatError(f"{path}: not a valid torch checkpoint ({error})") from None
    stored = {n.removeprefix("data/"): r for n, r in records.items() if n.startswith("data/")}
    return TorchFile(root, stored, order == b"big")


def _record(path: Path, member: zipfile.ZipInfo, file: IO[bytes]) -> tuple[int, int]:
    """First byte and length of an unpacked member."""
    if member.file_size != member.compress_size:
        raise FormatError(f"{path}: member {member.filename!r} is packed, torch stores plainly")
    file.seek(member.header_offset)
    header = file.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise FormatError(f"{path}: member {member.filename!r} is not where the archive says")
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = member.header_offset + LOCAL_HEADER + names
    if start + member.file_size > path.stat().st_size:
        raise FormatError(f"{path}: member {member.filename!r} reaches beyond the end of the file")
    return start, member.file_size
