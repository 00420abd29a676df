"""How a wallet holds a FROST key: the signing share alone; everything else of it stands in the epoch's statement."""

from functools import lru_cache

from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.group import SCALAR_SIZE
from mpcnode.errors import DecodeError
from mpcnode.protocols.epoch import Statement, SuiteKeys
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.types import Identifier, SuiteId


def encode_share(share: KeyShare) -> bytearray:
    """Give the 32 bytes of the signing share, which the caller wipes."""
    data = bytearray()
    share.key.signing_share.copy_into(data)
    return data


def decode_share(statement: Statement, suite: SuiteId, me: Identifier, data: bytes | bytearray) -> KeyShare:
    """Take the bytes of ``encode_share``; the caller wipes them, and the share.

    Args:
        statement: of the epoch the share is of.
        suite: of the share.
        me: whose share it is.
        data: 32 bytes.

    Raises:
        DecodeError: it is not the share of ``me`` in this epoch.
        ValueError: the statement has no such suite or participant; a mistake of the caller.
    """
    ciphersuite = CIPHERSUITES[suite]
    public = public_keys_of(statement, suite)
    if me not in public.verifying_shares:
        raise ValueError("this identifier is not among the participants")
    if len(data) != SCALAR_SIZE:
        raise DecodeError(f"a signing share is {SCALAR_SIZE} bytes, not {len(data)}")
    s_i = ciphersuite.group.decode_scalar(data)
    if s_i.is_zero() or ciphersuite.group.scalar_base_mult(s_i) != public.verifying_shares[me]:
        s_i.wipe()
        raise DecodeError("the signing share does not fit the verifying share of this epoch")
    key = KeyPackage(ciphersuite, me, s_i, public.verifying_shares[me], public.group_public_key, statement.threshold)
    return KeyShare(key, public)


@lru_cache(maxsize=64)
def public_keys_of(statement: Statement, suite: SuiteId) -> PublicKeyPackage:
    """Give what a statement says of one suite, as FROST has it.

    The same for every signature of an epoch, and to decode the points is most of what opening a share costs.
    """
    ciphersuite, keys = CIPHERSUITES[suite], statement.keys(suite)
    decode = ciphersuite.group.decode_element
    shares = {
        member.identifier: decode(share) for member, share in zip(statement.roster, keys.verifying_shares, strict=True)
    }
    return PublicKeyPackage(ciphersuite, shares, decode(keys.group_public_key), statement.threshold)


def suite_keys_of(public: PublicKeyPackage) -> SuiteKeys:
    """Give what a statement says of a key; its verifying shares come in the order of the roster, which is ascending."""
    shares = tuple(share.encode() for _, share in sorted(public.verifying_shares.items()))
    return SuiteKeys(public.suite.id, public.group_public_key.encode(), shares)
