"""Official files are told from damaged or changed ones by their digests."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from solvq.files import FormatError

CIFAR = "https://www.cs.toronto.edu/~kriz/cifar.html"
GTSRB = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"

MD5 = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-10-batches-bin/data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "cifar-10-batches-bin/data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "cifar-10-batches-bin/data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "cifar-10-batches-bin/data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "cifar-10-batches-bin/data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "cifar-10-batches-bin/test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    "GTSRB_Final_Training_Images.zip": "f33fd80ac59bff73c82d25ab499e03a3",
    "GTSRB_Final_Test_Images.zip": "c7e4e6327067d32654124b0fe9e82185",
    "GTSRB-Training_fixed.zip": "513f3c79a4c5141765e10e952eaa2478",
}


def verify(official: str, where: str, file: BinaryIO) -> bool:
    """Compare a file with the official one of its name, if there is one.

    Parameters
    ----------
    official : str
        The name to look up: that of the file, with its folder if the table has one.
    where : str
        What the user knows the file as, for the message.
    file : binary file
        Read to its end.

    Returns
    -------
    bool
        True if the digests agree, False if no official digest is known.
    """
    if official not in MD5:
        return False
    digest = hashlib.md5(usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    if digest.hexdigest() != MD5[official]:
        home = CIFAR if official.startswith("cifar") else GTSRB
        raise FormatError(
            f"{where} has the name of an official file but md5 {digest.hexdigest()}, not "
            f"{MD5[official]}: it is damaged or was changed; get it again from {home}, or rename "
            "it if it is data of your own"
        )
    return True


def verify_path(path: Path) -> bool:
    """Compare a file with the official one of its name, if there is one; as `verify`."""
    with path.open("rb") as file:
        return verify(path.name, str(path), file)
