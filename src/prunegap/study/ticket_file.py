"""Tickets on disk: one safetensors file that needs nothing else to be verified.

The header holds the claim and, for a random network, the recipe of its draw; the tensors hold packed masks and, for
a network that a user supplied, the arrays themselves. Two digests guard it. `network` is taken over W, v and the
target, so a generator that draws other numbers is refused instead of verified against them. `digest` is taken over
the whole file with its own 64 digits read as zeros, so any changed byte is refused whatever wrote the file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunegap.model.draw import STREAM, Draw, Initialisation
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import parse_granularity
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.problem import Problem
from prunegap.sealed_file import DamageError, claim_of, sealed
from prunegap.study.ticket import Ticket
from prunegap.whole_file import write_whole

FORMAT = 1
_REMEDY = "make the ticket anew, or copy it again from where it came"

Bits = NDArray[np.uint8]


def save_ticket(path: Path | str, ticket: Ticket) -> None:
    """Write `ticket` to `path` at once (a temporary file, then a rename); raises BadInputError if it cannot."""
    write_whole(Path(path), ticket_bytes(ticket))


def ticket_bytes(ticket: Ticket) -> bytes:
    """Return the content of a ticket's file."""
    claim: dict[str, Any] = {
        "format": FORMAT,
        "stream": STREAM if ticket.draw else None,
        "seed": ticket.draw.seed if ticket.draw else None,
        "init": ticket.draw.initialisation.value if ticket.draw else None,
        "width": ticket.problem.width,
        "dimension": ticket.problem.dimension,
        "epsilon": ticket.problem.epsilon,
        "granularity": ticket.problem.granularity.name,
        "readout": ticket.problem.readout.value,
        "error_upper": ticket.error_upper,
        "network": _network_digest(ticket.problem),
    }
    tensors: dict[str, NDArray[Any]] = {
        "kept_weights": np.packbits(ticket.mask.kept_weights, axis=None),
        "kept_outputs": np.packbits(ticket.mask.kept_outputs, axis=None),
    }
    if ticket.draw is None:
        network = ticket.problem.network
        tensors |= {"W": network.weights, "v": network.outputs, "target": ticket.problem.target}
    return sealed(tensors, claim)


def load_ticket(path: Path | str) -> Ticket:
    """Return the ticket in a file, its draw regenerated and both digests checked; its claim is not verified yet.

    Raises BadInputError, naming the file, for anything that is not an undamaged ticket.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInputError(str(path), f"cannot be read ({error.strerror})", "give the path of a ticket") from None
    try:
        return _parsed(content)
    except BadInputError as error:
        raise BadInputError(f"{path}: {error.value}", error.rule, error.remedy) from None


def _parsed(content: bytes) -> Ticket:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        claim = claim_of(content)
        if claim["format"] != FORMAT:
            raise BadInputError(
                f"ticket format {claim['format']}", f"this version reads format {FORMAT}", "update prunegap"
            )
        return _rebuilt(claim, load(content))
    except DamageError as damage:
        raise BadInputError("ticket", str(damage), _REMEDY) from None
    except BadInputError:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInputError("ticket", f"is malformed ({type(error).__name__})", _REMEDY) from None


def _rebuilt(claim: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Ticket:
    width, dimension = int(claim["width"]), int(claim["dimension"])
    mask = Mask(
        _unpacked(tensors.pop("kept_weights"), (width, dimension)), _unpacked(tensors.pop("kept_outputs"), (width,))
    )
    draw = None
    if claim["stream"] is None:
        network, target = Network(tensors.pop("W"), tensors.pop("v")), tensors.pop("target")
    elif claim["stream"] == STREAM:
        draw = Draw(dimension, int(claim["seed"]), Initialisation.parse(claim["init"]))
        network, target = draw.network(width), draw.target()
    else:
        raise BadInputError(f"stream {claim['stream']!r}", f"this version draws {STREAM!r}", "update prunegap")
    if tensors:
        raise DamageError(f"holds an unknown array {min(tensors)}")
    granularity, readout = parse_granularity(claim["granularity"]), Readout.parse(claim["readout"])
    problem = Problem(network, target, float(claim["epsilon"]), granularity, readout)
    if _network_digest(problem) != claim["network"]:
        raise DamageError("its network does not match its digest: this machine draws other numbers")
    return Ticket(problem, mask, float(claim["error_upper"]), draw)


def _unpacked(packed: Bits, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the bits of `packed` in the given shape; the padding of the last byte must be 0."""
    count = int(np.prod(shape, dtype=object))
    if packed.dtype != np.uint8 or packed.shape != ((count + 7) // 8,):
        raise DamageError("holds masks of another shape than its claim says")
    bits = np.unpackbits(packed)
    if bits[count:].any():
        raise DamageError("holds bits beyond its masks")
    return bits[:count].astype(np.bool_).reshape(shape)


def _network_digest(problem: Problem) -> str:
    """Return SHA-256 over the shape, W, v and the target as little-endian float64 bytes."""
    digest = hashlib.sha256(f"{problem.width}x{problem.dimension}".encode())
    for array in (problem.network.weights, problem.network.outputs, problem.target):
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()
