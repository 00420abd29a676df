"""The forms of the fields that nodes send each other; exact, so that nothing has two spellings.

A field of bytes is a byte string everywhere in the program and lower-case hexadecimal on the wire alone: msgspec is
told a form (``Hex16``), gets the byte string from ``from_hex``, and ``wire.json.encode`` turns it back. To mypy each
form is the type that the program uses for it.
"""

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from mpcnode.crypto.transcript import MAX_INTEGER
from mpcnode.types import Identifier, PeerId, SuiteId

if TYPE_CHECKING:
    from mpcnode.types import EpochId, IdentityKey, SessionId, WalletId

MAX_DATA_BYTES: Final = 2 * 1024 * 1024
"""The longest data of one round; oblivious transfer for a batch needs it, FROST some hundred bytes."""
MAX_BODY_BYTES: Final = 32_600
"""The longest seal: in hexadecimal, with the longest names around it, it fits a frame of 64 KiB."""
MAX_SLOT_BYTES: Final = 4_096
"""The longest message through a slot; what a pairing says has some hundred bytes."""
MAX_TERMS_BYTES: Final = 9_800
"""All terms of one proposal together, so that a proposal fits a seal with 64 participants of the longest names."""


class _Form(type):
    """A form of byte strings by their length: ``isinstance(value, Hex16)`` says whether ``value`` has 16 bytes."""

    least: int
    most: int

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, bytes) and cls.least <= len(value) <= cls.most


def from_hex(form: type, text: object) -> bytes:
    """Take a JSON value as a byte string of ``form``; msgspec's ``dec_hook``.

    Raises:
        ValueError: it is not lower-case hexadecimal of the form's length.
    """
    assert isinstance(form, _Form)
    if not isinstance(text, str) or not 2 * form.least <= len(text) <= 2 * form.most:
        size = f"{form.least}" if form.least == form.most else f"{form.least} to {form.most}"
        raise ValueError(f"not {size} bytes in hexadecimal")
    data = bytes.fromhex(text)
    if data.hex() != text:
        raise ValueError("not lower-case hexadecimal")
    return data


if TYPE_CHECKING:
    Hex16 = bytes
    Hex32 = bytes
    Hex33 = bytes
    Hex64 = bytes
    HexData = bytes
    HexTerm = bytes
    HexBody = bytes
    HexSlotBody = bytes
    HexSession = SessionId
    HexWallet = WalletId
    HexEpoch = EpochId
    HexKey = IdentityKey
else:

    class Hex16(metaclass=_Form):
        """16 bytes."""

        least = most = 16

    class Hex32(metaclass=_Form):
        """32 bytes."""

        least = most = 32

    class Hex33(metaclass=_Form):
        """33 bytes."""

        least = most = 33

    class Hex64(metaclass=_Form):
        """64 bytes."""

        least = most = 64

    class HexData(metaclass=_Form):
        """What a protocol says in one round."""

        least, most = 0, MAX_DATA_BYTES

    class HexTerm(metaclass=_Form):
        """One of the terms of a proposal or an acceptance; what they may be together is bounded beside them."""

        least, most = 0, MAX_TERMS_BYTES

    class HexBody(metaclass=_Form):
        """What a seal holds: at least the overhead of one, at most what fits a signaling server's frame."""

        least, most = 48, MAX_BODY_BYTES

    class HexSlotBody(metaclass=_Form):
        """What one end of a slot says to the other."""

        least, most = 1, MAX_SLOT_BYTES

    HexSession = HexWallet = Hex16
    HexEpoch = HexKey = Hex32

Name = Annotated[PeerId, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")]
"""A stable word for programs: the code of an error, the name of a round, a capability."""
SuiteName = Annotated[SuiteId, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,64}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
"""Unix time, or a span of it; never seconds, never a fraction."""
Number = Annotated[Identifier, msgspec.Meta(ge=1, le=64)]
"""A participant's identifier."""
