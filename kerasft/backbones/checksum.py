"""Copy a stream to a file and accept it only when size and sha256 are the expected ones."""

import hashlib
from pathlib import Path
from typing import BinaryIO

from kerasft.backbones.catalog import File
from kerasft.errors import KerasftError

CHUNK = 1 << 20


def copy_checked(stream: BinaryIO, file: File, path: Path, origin: str) -> None:
    """Writes `stream` to `path`, never more than `file.size` bytes.

    Raises:
        KerasftError: more or fewer bytes than `file.size`, or another sha256; `origin` says where they came from.
    """
    digest = hashlib.sha256()
    size = 0
    with open(path, "wb") as out:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > file.size:
                break
            digest.update(chunk)
            out.write(chunk)
    if size != file.size:
        found = f"over {file.size}" if size > file.size else f"{size}"
        raise KerasftError(f"{file.name} from {origin} has {found} bytes instead of {file.size}")
    if digest.hexdigest() != file.sha256:
        raise KerasftError(
            f"{file.name} from {origin} has sha256 {digest.hexdigest()[:12]}… instead of {file.sha256[:12]}…"
        )
