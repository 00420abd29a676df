"""Every tag of every hash and signature of mpcnode (PROTOCOL, Conventions); no other module spells one.

A tag says what a hash or a signature is for, so that one made for one purpose is never taken for another. What the
standards prescribe (RFC 9591, BIP-340, BIP-341) keeps its own labels, in the modules that implement them.
"""

from typing import Final

# Agreement

SESSION_ID: Final = "mpcnode/session-id/v1"
"""Hash: a session's id, of its proposer's key and a salt."""
PROPOSAL: Final = "mpcnode/proposal/v1"
"""Hash: everything a session proposal says."""
ACCEPTANCE: Final = "mpcnode/acceptance/v1"
"""Signature: a participant accepts a proposal."""
START: Final = "mpcnode/start/v1"
"""Signature: the proposer says who takes part, with which acceptances."""
AGREED: Final = "mpcnode/agreed/v1"
"""Hash: a proposal and the acceptances it began with."""

# Key generation, refresh and signing

CONTEXT: Final = "mpcnode/context/v1"
"""Hash: what was agreed on and everybody's fresh bytes; everything after is bound to it."""
WALLET_ID: Final = "mpcnode/wallet-id/v1"
"""Hash: a wallet's id, of the context of its key generation."""
COMMITMENT_DIGEST: Final = "mpcnode/commitment-digest/v1"
"""Hash: a participant's commitments, before it reveals them."""
CONTRIBUTION: Final = "mpcnode/contribution/v1"
"""Hash: a participant's part of the chain code and of the document key, before it reveals them."""
SIGNED_DIGEST: Final = "mpcnode/signed-digest/v1"
"""Signature: a participant promises the commitments it will reveal, and gives its fresh bytes."""
ECHO: Final = "mpcnode/echo/v1"
"""Hash: every promise a participant heard."""
CHAIN_CODE: Final = "mpcnode/chain-code/v1"
"""Hash: the chain code, of everybody's parts; and with one field, the chain code's own hash."""
DOCUMENT_KEY: Final = "mpcnode/document-key/v1"
"""Hash: the key of the wallet's document, of everybody's parts."""
SHARE: Final = "mpcnode/share/v1"
"""Hash: the place of a sealed share: context, suite, dealer and recipient."""
SAFETY_WORDS: Final = "mpcnode/safety-words/v1"
"""Hash: what the six words stand for."""
TRANSCRIPT: Final = "mpcnode/transcript/v1"
"""Hash: everything said in a key generation or a refresh."""
EPOCH: Final = "mpcnode/epoch/v1"
"""Hash: an epoch's id, of its statement."""
READY: Final = "mpcnode/ready/v1"
"""Signature: a participant's share of an epoch is checked and durably stored."""
NONCE: Final = "mpcnode/nonce/v1"
"""Hash: the randomness of one signing nonce, bound to the session it is for."""
SIGNING_DESCRIPTOR: Final = "mpcnode/signing-descriptor/v1"
"""Hash: everything the signers agree on."""

# Readings

TEXT: Final = "mpcnode/text/v1"
"""Hash: the bytes that are signed for a text."""
FILE: Final = "mpcnode/file/v1"
"""Hash: the bytes that are signed for a file."""

# Between nodes

HELLO: Final = "mpcnode/hello/v1"
"""Signature: a node introduces itself to another through the relay."""
REGISTER: Final = "mpcnode/register/v1"
"""Signature: a node registers its name at a signaling server."""
CHANNEL_OPEN: Final = "mpcnode/channel-open/v1"
"""Signature: both ends of a data channel, their identities and their DTLS fingerprints."""
SEAL: Final = "mpcnode/seal/v1"
"""Hash: what a sealed message is for, from whom and to whom."""
RELAY: Final = "mpcnode/relay/v1"
"""Hash: the conversation a relayed message belongs to."""

# Pairing

PAIR: Final = "mpcnode/pair/v1"
"""Hash: what both ends of a pairing saw before they had a key. As bytes, what they call themselves in SPAKE2."""
PAIR_SEAL: Final = "mpcnode/pair-seal/v1"
"""Hash: the purpose of the key that one end of a pairing seals with."""
PAIR_KEY: Final = "mpcnode/pair-key/v1"
"""Hash: the purpose of the key that two contacts share after a pairing, with both identity keys."""
CARD: Final = "mpcnode/card/v1"
"""Signature: a contact card, for the one pairing it was made in."""

# On screens and on disk

FINGERPRINT: Final = "mpcnode/fingerprint/v1"
"""Hash: what people compare of an identity key."""
AUDIT: Final = "mpcnode/audit/v1"
"""Hash: a line of the audit log and the line before it."""
