"""Bodies for and from an embeddings API, and unit vectors of what is in them.

Shapes: https://platform.openai.com/docs/api-reference/embeddings/create and .../embeddings/object.  With
``encoding_format: base64`` a vector is the base64 text of its numbers as little-endian 32-bit floats; servers that know
one of the two only answer with that, whatever was asked for, so both are read.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Vector = npt.NDArray[np.float32]
"""One-dimensional, of length 1."""


def embedding_request(model: str, texts: Sequence[str]) -> bytes:
    """Return the body that asks for the vectors of some texts."""
    return msgspec.json.encode({"model": model, "input": list(texts), "encoding_format": "float"})


def read_vectors(body: bytes, texts: int) -> tuple[Vector, ...] | None:
    """Return the unit vectors in an answer, in the order in which their texts were asked for.

    None where the body is not such an answer, has not one vector for each of ``texts`` texts, or has one that points
    nowhere.
    """
    try:
        data = _decode(body).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    by_index = {place if item.index is None else item.index: item.embedding for place, item in enumerate(data)}
    if len(data) != texts or by_index.keys() != set(range(texts)):
        return None
    vectors = tuple(_vector(by_index[index]) for index in range(texts))
    known = tuple(vector for vector in vectors if vector is not None)
    return known if len(known) == texts else None


def unit_vector(values: npt.ArrayLike) -> Vector | None:
    """Return numbers as a vector of length 1; None where they are no vector, not all finite, or have no direction."""
    with np.errstate(all="ignore"):
        try:
            vector = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            return None
        length = float(np.sqrt(np.dot(vector, vector))) if vector.ndim == 1 else 0.0
        if not 0.0 < length < np.inf:  # NaN is neither
            return None
        return (vector / length).astype(np.float32)


def cosine(one: Vector, other: Vector) -> float:
    """Return how alike two unit vectors are, from -1 to 1; -1 where their lengths show that two models made them."""
    if one.shape != other.shape:
        return -1.0
    return max(-1.0, min(1.0, float(one @ other)))


class _Item(msgspec.Struct, gc=False):
    embedding: list[float] | str
    index: int | None = None


class _Answer(msgspec.Struct, gc=False):
    data: list[_Item]


_decode: Final = msgspec.json.Decoder(_Answer).decode


def _vector(embedding: list[float] | str) -> Vector | None:
    if isinstance(embedding, list):
        return unit_vector(embedding)
    try:
        return unit_vector(np.frombuffer(binascii.a2b_base64(embedding, strict_mode=True), dtype="<f4"))
    except ValueError:  # no base64, or not whole numbers of four bytes
        return None
