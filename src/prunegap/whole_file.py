"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from prunegap.model.errors import BadInputError


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds all of it or what it held before; raises BadInputError if it cannot."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise BadInputError(str(path), f"cannot be written ({error.strerror})", "choose another place") from None
