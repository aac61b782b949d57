"""Reading the sealed files of whole networks: tickets and their rivals fail in the same ways and words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.nn.source import STREAM
from prunegap.sealed_file import DamageError, claim_of

T = TypeVar("T")
Tensors = dict[str, NDArray[np.uint8]]

_REMEDIES = {
    "network-ticket": "use prunegap ticket show",
    "network-rival": "read it with prunegap.nn.read_rival",
}
_ANEW = "make it anew, or copy it again from where it came"
# What a header with a right digest and wrong contents can lead to.
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError)


def read_sealed(path: Path | str, kind: str, version: int, rebuilt: Callable[[dict[str, Any], Tensors], T]) -> T:
    """Return what `rebuilt` makes of the header and the arrays of a file of this kind, version and bit stream.

    Raises BadInputError, naming the file, for anything else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInputError(str(path), f"cannot be read ({error.strerror})", f"give the path of a {kind}") from None
    try:
        return _parsed(content, kind, version, rebuilt)
    except BadInputError as error:
        raise BadInputError(f"{path}: {error.value}", error.rule, error.remedy) from None


def header_of(content: bytes, kind: str) -> dict[str, Any]:
    """Return the header of an undamaged file of this kind; raises BadInputError or DamageError for any other."""
    header = claim_of(content)
    found = header.get("kind")
    if found != kind:
        remedy = _REMEDIES.get(str(found), "use prunegap verify for tickets of single neurons")
        raise BadInputError("the file", f"holds a {found or 'ticket of a single neuron'}, no {kind}", remedy)
    return header


def _parsed(content: bytes, kind: str, version: int, rebuilt: Callable[[dict[str, Any], Tensors], T]) -> T:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        header = header_of(content, kind)
        if header["format"] != version:
            raise BadInputError(f"format {header['format']}", f"this version reads {version}", "update prunegap")
        if header["stream"] != STREAM:
            raise BadInputError(f"stream {header['stream']!r}", f"this version draws {STREAM!r}", "update prunegap")
        return rebuilt(header, load(content))
    except DamageError as damage:
        raise BadInputError(kind, str(damage), _ANEW) from None
    except BadInputError:
        raise
    except (SafetensorError, *_MALFORMED) as error:
        raise BadInputError(kind, f"is malformed ({type(error).__name__})", _ANEW) from None
