"""The curve of Ed25519 in plain integers, cofactor and all: for the points and signatures no honest library makes."""

from dataclasses import dataclass
from hashlib import sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


@dataclass(frozen=True)
class Point:
    """A point of the whole curve, in affine coordinates."""

    x: int
    y: int

    def __add__(self, other: "Point") -> "Point":
        k = D * self.x * other.x * self.y * other.y % P
        x = (self.x * other.y + other.x * self.y) * pow(1 + k, -1, P)
        y = (self.y * other.y + self.x * other.x) * pow(1 - k, -1, P)
        return Point(x % P, y % P)

    def __rmul__(self, n: int) -> "Point":
        total, power = (0, 1, 1, 0), (self.x, self.y, 1, self.x * self.y % P)
        while n:
            total = _sum(total, power) if n & 1 else total
            power, n = _sum(power, power), n >> 1
        X, Y, Z, _ = total
        inverse = pow(Z, -1, P)
        return Point(X * inverse % P, Y * inverse % P)

    def encode(self) -> bytes:
        return (self.y | (self.x & 1) << 255).to_bytes(32, "little")


Extended = tuple[int, int, int, int]


def _sum(p: Extended, q: Extended) -> Extended:
    """Add in extended coordinates, without an inversion (RFC 8032, section 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point(y: int, sign: int = 0) -> Point | None:
    """The point with this y, where there is one."""
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P:
        return None
    return Point(x if x % 2 == sign else -x % P, y)


def _base() -> Point:
    base = point(4 * pow(5, -1, P) % P)
    assert base is not None
    return base


def _order_eight() -> Point:
    for y in range(2, 100):
        found = point(y)
        if found is not None and 4 * (L * found) != IDENTITY:
            return L * found
    raise AssertionError


IDENTITY = Point(0, 1)
B = _base()
T8 = _order_eight()


def challenge(R: bytes, A: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(R + A + message).digest(), "little") % L


def encoded(R: bytes, s: int) -> bytes:
    return R + s.to_bytes(32, "little")
