"""Zip archives whose members are as long as they say, checked before a byte is unpacked."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

from solvq.checkpoint.source._base import reason
from solvq.files import FormatError

DAMAGE = (
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)  # what reading a damaged archive can raise
DEFLATE_RATIO = 1032  # deflate makes of one byte at most so many
ENCRYPTED = 0x1


def open_archive(path: Path) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """An archive and its members by name.

    Raises
    ------
    FormatError
        If it is no zip archive, if a name stands twice, or if a member is encrypted, packed in a
        way that neither NumPy nor torch writes, or longer than its packed bytes can hold.
    OSError
        If the file cannot be opened.
    """
    path.open("rb").close()
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise FormatError(f"{path}: not a valid zip archive ({reason(error)})") from None
    members = {member.filename: member for member in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise FormatError(f"{path}: a name stands twice in the archive")
    size = path.stat().st_size
    for member in members.values():
        _check(path, member, size)
    return archive, members


def _check(path: Path, member: zipfile.ZipInfo, size: int) -> None:
    """Refuse a member that cannot be what it says."""
    what = f"{path}: member {member.filename!r}"
    if member.flag_bits & ENCRYPTED:
        raise FormatError(f"{what} is encrypted")
    ratios = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: DEFLATE_RATIO}
    if member.compress_type not in ratios:
        raise FormatError(f"{what} is packed with method {member.compress_type}; use deflate")
    if member.header_offset < 0 or member.header_offset + member.compress_size > size:
        raise FormatError(f"{what} lies outside the file")
    if member.file_size > member.compress_size * ratios[member.compress_type]:
        raise FormatError(
            f"{what} says it holds {member.file_size} bytes, "
            f"too many for the {member.compress_size} packed ones"
        )
