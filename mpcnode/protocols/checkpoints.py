"""What a protocol asks of its host between rounds, and what it ends with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mpcnode.protocols.epoch import Certificate, Statement
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.types import Identifier, SuiteId


@dataclass(frozen=True, slots=True)
class ConfirmWords:
    """Checkpoint: show ``words``; confirm when the user found the same on every screen, or nobody needs to be asked."""

    words: tuple[str, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class StorePending:
    """Checkpoint: store this durably as a pending epoch, and read it back, before confirming.

    Secrets stay the execution's, which wipes them when this is confirmed: the stored ones are the only ones then.

    Args:
        statement: what everybody signs.
        identifier: this participant's.
        secrets: key shares by suite, in the statement's order.
        chain_code: 32 bytes; None in an epoch that carries over the one before.
        document_key: 32 bytes; None likewise.
        ready: this participant's own signature over the epoch id, which leaves the node next.
    """

    statement: Statement
    identifier: Identifier
    secrets: Mapping[SuiteId, KeyShare] = field(repr=False)
    chain_code: bytearray | None = field(repr=False)
    document_key: bytearray | None = field(repr=False)
    ready: bytes


@dataclass(frozen=True, slots=True)
class StoreActive:
    """Checkpoint: store the certificate with the epoch, which makes it active, before confirming."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class KeyResult:
    """What a key generation or a refresh ends with: an epoch that everybody stored.

    Args:
        statement: of the epoch.
        certificate: complete.
    """

    statement: Statement
    certificate: Certificate
