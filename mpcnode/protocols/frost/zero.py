"""The steps of a refresh: every participant deals a sharing of 0, and all are added to the shares there are.

After the Zcash Foundation's ``keys::refresh``; proactive secret sharing (Herzberg and others 1995). Pure functions, one
for each thing a participant computes. ``refresh`` puts them in order.
"""

from collections.abc import Mapping
from typing import Any

from mpcnode.crypto import vss
from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import Element, Rng, Scalar
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage, RefreshPackage
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.rounds import Fault
from mpcnode.types import Identifier


def commit(suite: AnyCiphersuite, threshold: int, rng: Rng) -> tuple[Polynomial[Any, Any], RefreshPackage]:
    """Draw a secret polynomial whose constant term is 0, and commit to its other coefficients.

    Args:
        suite: the ciphersuite.
        threshold: t, one more than there are coefficients to draw.
        rng: fresh randomness.
    """
    group = suite.group
    # g_i(x) = b_i1 x + ... + b_i(t-1) x^(t-1): its shares change the others and never the secret.
    g_i = Polynomial(group, [group.scalar(0), *(group.random_scalar(rng) for _ in range(threshold - 1))])
    return g_i, RefreshPackage(suite, g_i.commit()[1:])


def finish(
    suite: AnyCiphersuite,
    me: Identifier,
    previous: KeyShare,
    packages: Mapping[Identifier, RefreshPackage],
    shares: Mapping[Identifier, Scalar],
) -> KeyShare:
    """Check all dealers' shares at once, and add them to the share there is.

    That the sum of the shares fits the sum of the commitments is all the key needs; only where it does not fit is each
    dealer's share checked, to name those that are wrong.

    Args:
        suite: the ciphersuite.
        me: this participant.
        previous: its share and everybody's verifying shares in the epoch before; it stays the caller's.
        packages: everybody's, this participant's own included, all with t - 1 elements.
        shares: g_l(me) from everybody, this participant's own included; they stay the caller's to wipe.

    Raises:
        Fault: dealers' shares do not fit their commitments; names all of them. Or a share would be 0, which takes all
            participants together.
        RuntimeError: the new verifying shares are not those of the same key: the epoch before was not consistent.
    """
    group = suite.group
    zero_constant = group.identity
    commitment = (zero_constant, *vss.sum_commitments(group, [package.commitment for package in packages.values()]))
    changes: Mapping[Identifier, Element] = vss.evaluate_all(group, commitment, packages)
    # s'_i = s_i + sum of g_l(i), and Y'_j = Y_j + g(j) G for everybody from the commitments alone.
    change = group.sum_scalars(shares[l] for l in packages)  # noqa: E741
    s_i = previous.key.signing_share + change
    verifying_shares = {j: previous.public.verifying_shares[j] + changes[j] for j in sorted(packages)}
    fits = group.scalar_base_mult(change) == changes[me]
    change.wipe()
    if not fits:
        s_i.wipe()
        wrong = [
            l
            for l in packages  # noqa: E741
            if not vss.verify_share(group, shares[l], me, (zero_constant, *packages[l].commitment))
        ]
        raise Fault("sent a share that does not fit its commitment", wrong)
    if any(Y_j.is_identity for Y_j in verifying_shares.values()):
        s_i.wipe()
        raise Fault("the participants' secrets cancel each other")
    # The key is checked and not recomputed: the one that is stored is the one there was.
    key, threshold = previous.key.group_public_key, previous.key.threshold
    some = {j: verifying_shares[j] for j in list(verifying_shares)[:threshold]}
    if vss.interpolate(group, some) != key or group.scalar_base_mult(s_i) != verifying_shares[me]:
        s_i.wipe()
        raise RuntimeError("the refreshed shares are not those of the wallet's key: the shares before did not fit it")
    return KeyShare(
        KeyPackage(suite, me, s_i, verifying_shares[me], key, threshold),
        PublicKeyPackage(suite, verifying_shares, key, threshold),
    )
