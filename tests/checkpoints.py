"""Small checkpoints for the tests of the checkpoint room and the command line."""

import json
import zlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file


def tensors(seed: int = 0) -> dict[str, NDArray[Any]]:
    """Tensors of every kind that occurs: weights, biases, integers, odd sizes, empty, 0-D."""
    rng = np.random.default_rng(seed)
    return {
        "layer.weight": rng.standard_normal((48, 60)).astype(np.float32),
        "layer.bias": rng.standard_normal(60).astype(np.float32),
        "half": rng.standard_normal((33, 35)).astype(np.float16),
        "brain": (rng.standard_normal((8, 5, 32)) * 0.02).astype(ml_dtypes.bfloat16),
        "double": rng.standard_normal((40, 40)) + 1e8,
        "zero": np.zeros((40, 40), np.float32),
        "small": rng.standard_normal((3, 5)).astype(np.float32),
        "odd": np.arange(7, dtype=np.int8),
        "flags": np.array([True, False, True]),
        "count": np.array(12, dtype=np.int64),
        "empty": np.zeros((0, 3), np.float32),
    }


def write(path: Path, data: dict[str, NDArray[Any]], **metadata: str) -> Path:
    """Safetensors file of some tensors."""
    save_file(data, path, metadata=metadata or None)
    return path


def write_shards(folder: Path, data: dict[str, NDArray[Any]]) -> Path:
    """Sharded folder of some tensors, two files and an index."""
    folder.mkdir()
    names = list(data)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: data[name] for name in part}, folder / file)
    homes = {name: file for file, part in halves.items() for name in part}
    index = {"metadata": {"total_size": 1}, "weight_map": homes}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def parts_of(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def join(path: Path, header: dict[str, Any], data: bytes) -> None:
    """Write a safetensors file of any header."""
    text = json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def manifest_of(path: Path) -> dict[str, Any]:
    """What a compressed checkpoint says of itself."""
    header, data = parts_of(path)
    start, stop = header["solvq:manifest"]["data_offsets"]
    found: dict[str, Any] = json.loads(zlib.decompress(data[start:stop]))
    return found


def forge(path: Path, manifest: dict[str, Any] | bytes, target: Path) -> Path:
    """Compressed checkpoint with another manifest, given or packed, and a signature that fits."""
    if isinstance(manifest, dict):
        manifest = zlib.compress(json.dumps(manifest).encode())
    header, data = parts_of(path)
    start = header["solvq:manifest"]["data_offsets"][0]
    places = [start, start + len(manifest)]
    header["solvq:manifest"] |= {"shape": [len(manifest)], "data_offsets": places}
    header["__metadata__"]["solvq"] = f"2 {zlib.crc32(manifest):08x}"
    join(target, header, data[:start] + manifest)
    return target


def forge_entry(path: Path, entry: str, raw: bytes, target: Path) -> Path:
    """Compressed checkpoint with other bytes for a coded entry, and checksums that fit."""
    name, kind = entry.rsplit(":", 1)
    header, data = parts_of(path)
    manifest = manifest_of(path)
    found = manifest["tensors"][name]
    position = [key for key in header if key.startswith(f"{name}:")].index(entry)
    found["crc32"][position] = zlib.crc32(raw)
    if kind == "indices":
        found["scheme"][5] = len(raw)
    else:
        found["coded"] = len(raw)
    new, place = b"", 0
    for key, about in sorted(
        ((k, v) for k, v in header.items() if k != "__metadata__"),
        key=lambda item: item[1]["data_offsets"],
    ):
        part = data[slice(*about["data_offsets"])]
        if key == entry:
            part, about["shape"] = raw, [len(raw)]
        new += part
        about["data_offsets"] = [place, place + len(part)]
        place += len(part)
    join(target, header, new)
    return forge(target, manifest, target)
