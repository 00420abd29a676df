"""By which rule bytes are refused as an Ed25519 key; asked once libsodium refused them, to say why. All is public."""

from typing import Final

_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_Point = tuple[int, int]


def why_refused(data: bytes) -> str | None:
    """Say by which rule 32 bytes are refused as an Ed25519 public key (RFC 8032 5.1.3, and the order of the point).

    Args:
        data: 32 bytes.

    Returns:
        None where they are one.
    """
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    if y >= _P:
        return "its y coordinate is not below the field's prime"
    x2 = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(x2, (_P + 3) // 8, _P)
    if x * x % _P != x2:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if x * x % _P != x2:
        return "no point of the curve has this y coordinate"
    if x == 0 and sign:
        return "it is the other encoding of a point whose x coordinate is zero"
    point = (_P - x if x & 1 != sign else x, y)
    if _times(8, point) == (0, 1):
        return "its point is of small order: anybody can make signatures that fit it"
    if _times(_L, point) != (0, 1):
        return "its point is of mixed order: programs do not agree which signatures fit it"
    return None


def _times(factor: int, point: _Point) -> _Point:
    result: _Point = (0, 1)
    for bit in f"{factor:b}":
        result = _add(result, result)
        if bit == "1":
            result = _add(result, point)
    return result


def _add(one: _Point, other: _Point) -> _Point:
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2 % _P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, _P) % _P
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, _P) % _P
