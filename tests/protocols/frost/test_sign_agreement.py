"""Agreement on the commitments: who tells two stories is convicted by its own signatures, and no share leaves."""

from collections.abc import Iterable

import pytest

from mpcnode.crypto.suites import SUITES
from mpcnode.errors import DecodeError, InconsistentBroadcast
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost.broadcast import BOUND_SIZE, Promise
from mpcnode.protocols.frost.sign import NONCE_LIST, NONCES, SIGNATURE_SHARE, equivocators
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.types import Identifier, SuiteId
from tests.helpers.lying_signer import HONEST, LIAR, MESSAGES, Heard, evidence_of, run, session
from tests.helpers.signing import ED25519, execution, signing_descriptor, wallet
from tests.helpers.tamper import Rule, flip

every_suite = pytest.mark.parametrize("suite", SUITES)


class Equivocation:
    """A signer that signs two sets of commitments, and tells one to each."""

    def __init__(self, descriptor: SigningDescriptor) -> None:
        twin = execution(descriptor, wallet(descriptor.suite, 2, 3), Identifier(LIAR), seed="twin")
        ((_, self._other),) = twin.messages_to_send()
        twin.close()

    def __call__(
        self, sender: Identifier, recipient: Identifier, message: ProtocolMessage
    ) -> Iterable[ProtocolMessage]:
        if sender == LIAR and message.kind == NONCES and recipient == 2:
            return [self._other]
        return [message]


@every_suite
@pytest.mark.parametrize("seed", range(4))
def test_two_sets_of_commitments_show_and_evidence_convicts_who_signed_them(suite: SuiteId, seed: int) -> None:
    descriptor = session(suite)
    heard = Heard(Equivocation(descriptor))
    simulation = run(descriptor, heard, seed)
    errors = [simulation.errors[i] for i in HONEST if i in simulation.errors]
    # The first to see the difference stops, and shows its evidence; the other may still wait for its hash.
    assert errors
    for error in errors:
        assert isinstance(error, InconsistentBroadcast)
        assert error.culprits == ()
    assert not any(simulation.executions[i].finished for i in HONEST)
    one, two = (evidence_of(simulation, i) for i in HONEST)
    assert equivocators(one, two, descriptor) == {LIAR}
    assert equivocators(two, one, descriptor) == {LIAR}
    # No share left, so there is nothing to combine the two lists with.
    assert SIGNATURE_SHARE not in heard.kinds


def test_evidence_against_the_innocent_convicts_nobody() -> None:
    descriptor = session()
    mine = evidence_of(run(descriptor, Equivocation(descriptor)), 1)
    forged = bytearray(mine)
    for dealer in range(3):
        forged[BOUND_SIZE + dealer * Promise.size(1)] ^= 1
    assert equivocators(mine, bytes(forged), descriptor) == frozenset()
    assert equivocators(mine, mine, descriptor) == frozenset()
    with pytest.raises(DecodeError):
        equivocators(mine, b"", descriptor)


def test_evidence_of_another_session_convicts_nobody() -> None:
    first, second = session(), signing_descriptor(wallet(ED25519, 2, 3), [1, 2, 3], MESSAGES, seed="another")
    shown = [evidence_of(run(descriptor, Equivocation(descriptor)), 1) for descriptor in (first, second)]
    assert equivocators(shown[0], shown[1], first) == frozenset()


def test_a_wrong_hash_of_the_list_stops_everybody_and_proves_nothing() -> None:
    descriptor = session()
    heard = Heard(Rule(NONCE_LIST, LIAR, None, flip(0)))
    simulation = run(descriptor, heard)
    assert any(isinstance(simulation.errors.get(i), InconsistentBroadcast) for i in HONEST)
    assert not any(simulation.executions[i].finished for i in HONEST)
    assert equivocators(evidence_of(simulation, 1), evidence_of(simulation, 2), descriptor) == frozenset()
    assert SIGNATURE_SHARE not in heard.kinds
