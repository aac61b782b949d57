"""A safetensors file with a claim in its header, sealed by a digest of the whole file.

The claim is JSON in the header's metadata. Its `digest` is the SHA-256 of the file with these 64 digits read as
zeros, so any changed byte is noticed, whatever library wrote the file. That keeps out damage, not a forger: what a
claim says has to be proven again from the tensors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NO_DIGEST = "0" * 64


class DamageError(Exception):
    """What is wrong with the bytes of a file, in words that follow its name."""


def sealed(tensors: Mapping[str, NDArray[Any]], claim: Mapping[str, Any], compact: bool = False) -> bytes:
    """Return the content of the file: `claim` with its `digest` added last, and the tensors.

    `compact` leaves the blanks out of the claim. Equal arguments give equal bytes.
    """
    from safetensors.numpy import save

    separators = (",", ":") if compact else None
    text = json.dumps({**claim, "digest": _NO_DIGEST}, sort_keys=True, separators=separators)
    blank = save({name: np.asarray(value) for name, value in tensors.items()}, {"prunegap": text})
    return blank.replace(_NO_DIGEST.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)


def claim_of(content: bytes) -> dict[str, Any]:
    """Return the claim once the whole content matches its digest; raises DamageError where it does not."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise DamageError("is truncated or is no safetensors file")
    try:
        claim = dict(json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["prunegap"]))
        digest = claim["digest"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamageError("is damaged or is no prunegap ticket") from None
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise DamageError("holds no digest")
    blank = content.replace(digest.encode(), _NO_DIGEST.encode(), 1)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise DamageError("does not match its digest: it was changed or cut short")
    return claim
