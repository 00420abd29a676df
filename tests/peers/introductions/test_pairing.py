"""Two ends of a code: they meet where both have the password, and whatever else comes ends it with a sentence."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from mpcnode.blame import Came, Event, judge
from mpcnode.crypto.pairing_keys import PairingKeys, Role, handshake_hash
from mpcnode.crypto.pake import PasswordExchange
from mpcnode.errors import (
    IdentityCheckFailed,
    KeystoreUnwritable,
    MpcError,
    PairingStopped,
    ParticipantRefused,
    PeerIncompatible,
    Refused,
    WrongCode,
)
from mpcnode.identity.card import Card, make_card
from mpcnode.peers.introductions.pairing import Paired, Pairing, Stage
from mpcnode.types import PeerId
from mpcnode.wire import pairing as wire
from tests.helpers.identities import identity, key_of
from tests.vectors.ed25519 import ORDER_8

SLOT = 12
INVITER, JOINER = Role.INVITER, Role.JOINER
CALLED = {INVITER: "alice", JOINER: "bob"}


def nothing_against(_card: Card) -> None:
    pass


def end(role: Role, *, password: bytes = b"swirl-motor", name: str = "", seed: int = 1, **given: object) -> Pairing:
    name = name or CALLED[role]
    return Pairing(
        role,
        password=password,
        identity=identity(name),
        moniker=PeerId(name),
        check=given.get("check", nothing_against),  # type: ignore[arg-type]
        rng=random.Random(f"{name} {seed}").randbytes,
    )


@dataclass
class Meeting:
    """Two ends, what they say in turns, and what each ended with."""

    inviter: Pairing
    joiner: Pairing
    said: dict[Role, list[bytes]] = field(default_factory=lambda: {INVITER: [], JOINER: []})
    errors: dict[Role, MpcError] = field(default_factory=dict)

    def run(self, change: "dict[tuple[Role, int], bytes] | None" = None) -> "Meeting":
        """Let each hear the other's messages in order; ``change`` has what an end hears in place of one, by number."""
        ends = {INVITER: self.inviter, JOINER: self.joiner}
        for role, one in ends.items():
            self.said[role].append(one.begin(SLOT))
        for number in range(3):
            for role, one in ends.items():
                if role in self.errors or number >= len(self.said[role.other]):
                    continue
                heard = (change or {}).get((role, number), self.said[role.other][number])
                try:
                    answer = one.receive(heard)
                except MpcError as error:
                    self.errors[role] = error
                    answer = one.last_words
                if answer is not None:
                    self.said[role].append(answer)
        return self


def meet(change: "dict[tuple[Role, int], bytes] | None" = None, **given: object) -> Meeting:
    return Meeting(end(INVITER, **given), end(JOINER, seed=2)).run(change)  # type: ignore[arg-type]


def result(one: Pairing) -> Paired:
    assert one.result is not None
    return one.result


@pytest.mark.parametrize("password", [b"swirl-rotor", b"motor-swirl", b"swirl", b"aardvark-adviser"])
def test_a_wrong_password_is_told_to_both_ends_and_neither_has_anything(password: bytes) -> None:
    meeting = meet(password=password)
    for role, one in ((INVITER, meeting.inviter), (JOINER, meeting.joiner)):
        assert isinstance(meeting.errors[role], WrongCode)
        assert "it may have been a typing error or an attack" in meeting.errors[role].message
        assert (one.stage, one.result) == (Stage.OVER, None)
    assert meeting.errors[INVITER].message.startswith("the code was used with a wrong password")
    assert b"alice" not in b"".join(meeting.said[INVITER])


def test_two_that_know_the_password_have_each_others_card_and_one_key() -> None:
    meeting = meet()
    assert meeting.errors == {}
    alice, bob = result(meeting.inviter), result(meeting.joiner)
    assert (alice.card.moniker, alice.card.public_key) == ("bob", key_of("bob"))
    assert (bob.card.moniker, bob.card.public_key) == ("alice", key_of("alice"))
    assert alice.key == bob.key
    assert len(alice.key) == 32
    assert "redacted" in repr(alice)
    assert str(bytes(alice.key)) not in repr(alice)


@pytest.mark.parametrize("role", Role)
def test_ones_own_message_that_comes_back_is_refused(role: Role) -> None:
    mine = meet().said[role][0]
    meeting = meet({(role, 0): mine})
    assert isinstance(meeting.errors[role], IdentityCheckFailed)
    assert "our own message came back" in meeting.errors[role].message


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("role", Role)
def test_ones_own_seal_that_comes_back_is_refused(role: Role, number: int) -> None:
    """Randomness repeats here, so the seal that comes back is the very one that this end made."""
    meeting = meet({(role, number): meet().said[role][number]})
    assert isinstance(meeting.errors[role], WrongCode if number == 1 else IdentityCheckFailed)
    assert (meeting.inviter if role is INVITER else meeting.joiner).result is None


@pytest.mark.parametrize("role", Role)
def test_a_message_swapped_for_another_ones_is_a_wrong_password(role: Role) -> None:
    """The server, which does not know the password, puts an exchange of its own in the middle."""
    mallory = end(role.other, password=b"a-guess", name="mallory")
    meeting = meet({(role, 0): mallory.begin(SLOT)})
    assert {type(error) for error in meeting.errors.values()} == {WrongCode}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("role", Role)
def test_a_message_of_an_earlier_pairing_opens_nothing(role: Role, number: int) -> None:
    earlier = Meeting(end(INVITER, seed=7), end(JOINER, seed=8)).run()
    meeting = meet({(role, number): earlier.said[role.other][number]})
    assert isinstance(meeting.errors[role], WrongCode if number < 2 else IdentityCheckFailed)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("role", Role)
def test_a_seal_out_of_its_place_opens_nothing(role: Role, number: int) -> None:
    honest = meet()
    meeting = meet({(role, number): honest.said[role.other][3 - number]})
    assert isinstance(meeting.errors[role], WrongCode if number == 1 else IdentityCheckFailed)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", PairingStopped),
        (b"\xff\xfe", PairingStopped),
        (b'{"type":"hello"}', PairingStopped),
        (wire.encode(wire.Sealed(bytes(40))), PairingStopped),
        (wire.encode(wire.Exchange(b"S" + bytes(32), 1)), IdentityCheckFailed),
        (wire.encode(wire.Exchange(b"A" + bytes(32), 1)), IdentityCheckFailed),
        (b'{"type":"exchange","version":2}', PeerIncompatible),
    ],
)
@pytest.mark.parametrize("role", Role)
def test_what_is_no_first_message_ends_it(role: Role, data: bytes, kind: type[MpcError]) -> None:
    error = meet({(role, 0): data}).errors[role]
    assert isinstance(error, kind)
    assert error.hint
    assert (error.culprits, error.suspects) == ((), frozenset())


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("data", [b"", b"{}", b'{"type":"exchange","version":1}', b'{"type":"sealed","body":"zz"}'])
def test_what_is_no_seal_ends_it(number: int, data: bytes) -> None:
    assert isinstance(meet({(INVITER, number): data}).errors[INVITER], PairingStopped)


def test_a_seal_that_is_too_short_to_be_one_does_not_open() -> None:
    seal = wire.encode(wire.Sealed(b"x"))
    assert isinstance(meet({(INVITER, 1): seal}).errors[INVITER], WrongCode)


class ByHand:
    """A joiner that knows the password, and seals what it likes."""

    def __init__(self, inviter: Pairing, *, name: str = "bob") -> None:
        exchange = PasswordExchange(b"swirl-motor", random.Random(9).randbytes)
        theirs = wire.decode_exchange(inviter.begin(SLOT)).message
        handshake = handshake_hash(SLOT, theirs, exchange.message)
        self.first = wire.encode(wire.Exchange(exchange.message, 1))
        self.keys = PairingKeys(exchange.finish(theirs), handshake, JOINER)
        made = make_card(identity(name), PeerId(name), handshake=handshake, role=JOINER)
        self.card = wire.Card(made.moniker, made.public_key, made.signature)

    def seal(self, plaintext: bytes) -> bytes:
        return wire.encode(wire.Sealed(self.keys.seal(plaintext)))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda _card: b"", PairingStopped),
        (lambda _card: wire.encode(wire.Met()), PairingStopped),
        (lambda card: wire.encode(card).replace(b'"bob"', b'"b ob"'), PairingStopped),
        (lambda card: wire.encode(card).replace(b'"bob"', b'"bobby"'), IdentityCheckFailed),
        (lambda card: wire.encode(structs.replace(card, signature=bytes(64))), IdentityCheckFailed),
        (lambda card: wire.encode(structs.replace(card, public_key=key_of("carol"))), IdentityCheckFailed),
        (lambda card: wire.encode(structs.replace(card, public_key=ORDER_8)), IdentityCheckFailed),
    ],
)
def test_one_that_knows_the_password_and_shows_no_good_card_is_kept_by_nobody(
    change: Callable[[wire.Card], bytes], kind: type[MpcError]
) -> None:
    inviter = end(INVITER)
    joiner = ByHand(inviter)
    inviter.receive(joiner.first)
    with pytest.raises(kind):
        inviter.receive(joiner.seal(change(joiner.card)))
    assert (inviter.stage, inviter.result, inviter.last_words) == (Stage.OVER, None, None)


def test_a_node_does_not_pair_with_itself() -> None:
    inviter = end(INVITER)
    joiner = ByHand(inviter, name="alice")
    inviter.receive(joiner.first)
    with pytest.raises(IdentityCheckFailed, match="this node's own key"):
        inviter.receive(joiner.seal(wire.encode(joiner.card)))


@pytest.mark.parametrize("plaintext", [b"", b'{"type":"met","more":1}', b'{"type":"card"}'])
def test_an_end_that_is_none_keeps_nobody(plaintext: bytes) -> None:
    inviter = end(INVITER)
    joiner = ByHand(inviter)
    inviter.receive(joiner.first)
    inviter.receive(joiner.seal(wire.encode(joiner.card)))
    assert inviter.stage is Stage.MEETING
    with pytest.raises(PairingStopped):
        inviter.receive(joiner.seal(plaintext))
    assert inviter.result is None


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            judge(Came.RELAY, Event.CONTACT_CHANGED, "bob came with another key"),
            "has another key under this node's name",
        ),
        (Refused("no"), "was told by its user not to keep this node"),
        (KeystoreUnwritable("full"), "did not keep this node as a contact (unwritable)"),
    ],
)
def test_an_end_that_keeps_nobody_says_so_and_neither_has_a_contact(role: Role, error: MpcError, said: str) -> None:
    def object_to(_card: Card) -> None:
        raise error

    ends = {INVITER: end(INVITER), JOINER: end(JOINER)} | {role: end(role, check=object_to)}
    meeting = Meeting(ends[INVITER], ends[JOINER]).run()
    assert meeting.errors[role] is error
    heard = meeting.errors[role.other]
    assert isinstance(heard, ParticipantRefused)
    assert said in heard.message
    assert heard.suspects == {CALLED[role]}
    assert (ends[INVITER].result, ends[JOINER].result) == (None, None)


def test_a_pairing_begins_once_and_hears_nothing_before_and_after() -> None:
    one = end(INVITER)
    with pytest.raises(ValueError, match="before a pairing begins"):
        one.receive(b"")
    one.begin(SLOT)
    with pytest.raises(ValueError, match="begins once"):
        one.begin(SLOT)
    with pytest.raises(PairingStopped):
        one.receive(b"")
    with pytest.raises(ValueError, match="after it ended"):
        one.receive(b"")


@pytest.mark.parametrize("heard", [0, 1, 2])
def test_the_keys_of_a_pairing_that_is_given_up_are_wiped(heard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wiped: list[PairingKeys] = []
    monkeypatch.setattr(PairingKeys, "wipe", lambda keys: wiped.append(keys))  # noqa: PLW0108 -- a list is no method
    honest, one = meet(), end(INVITER)
    wiped.clear()
    one.begin(SLOT)
    for data in honest.said[JOINER][:heard]:
        one.receive(data)
    one.close()
    assert len(wiped) == (heard > 0)
    assert one.stage is Stage.OVER


class LyingServer(RuleBasedStateMachine):
    """A server that forwards, keeps back, repeats, reflects, swaps and invents, and once guesses at the password."""

    @initialize(same=st.booleans(), guess=st.sampled_from([b"swirl-rotor", b"a-guess"]), seed=st.integers(0, 3))
    def start(self, *, same: bool, guess: bytes, seed: int) -> None:
        self.same = same
        self.ends = {
            INVITER: end(INVITER, seed=seed),
            JOINER: end(JOINER, seed=seed, password=b"swirl-motor" if same else b"swirl-moter"),
        }
        self.fakes = {
            INVITER: end(INVITER, name="mallory", password=guess, seed=seed),
            JOINER: end(JOINER, name="mallory", password=guess, seed=seed),
        }
        self.said = {role: [one.begin(SLOT)] for role, one in self.ends.items()}
        self.faked = {role: [one.begin(SLOT)] for role, one in self.fakes.items()}
        self.heard = {INVITER: 0, JOINER: 0}
        self.lied_to: set[Role] = set()
        self.named: set[str] = set()

    def _deliver(self, role: Role, data: bytes) -> None:
        one = self.ends[role]
        before = one.stage
        honest = self.heard[role] < len(self.said[role.other]) and data == self.said[role.other][self.heard[role]]
        self.heard[role] += 1
        if before in {Stage.DONE, Stage.OVER}:
            with pytest.raises(ValueError, match="after it ended"):
                one.receive(data)
            return
        if not honest:
            self.lied_to.add(role)
        try:
            answer = one.receive(data)
        except MpcError as error:
            self.named |= {*error.culprits, *error.suspects}
            answer = one.last_words
        if answer is not None:
            self.said[role].append(answer)

    @rule(role=st.sampled_from(Role))
    def forward(self, role: Role) -> None:
        if self.heard[role] < len(self.said[role.other]):
            self._deliver(role, self.said[role.other][self.heard[role]])

    @rule(role=st.sampled_from(Role), of=st.sampled_from(Role), number=st.integers(0, 2))
    def repeat_or_reflect(self, role: Role, of: Role, number: int) -> None:
        if number < len(self.said[of]):
            self._deliver(role, self.said[of][number])

    @rule(role=st.sampled_from(Role))
    def put_itself_between(self, role: Role) -> None:
        """The end that the server plays hears what the honest one said, and answers."""
        fake = self.fakes[role.other]
        number = len(self.faked[role.other]) - 1
        if number < len(self.said[role]) and fake.stage not in {Stage.DONE, Stage.OVER}:
            self._deliver(role, self.faked[role.other][number])
            try:
                answer = fake.receive(self.said[role][number])
            except MpcError:
                answer = None
            if answer is not None:
                self.faked[role.other].append(answer)

    @rule(role=st.sampled_from(Role), data=st.binary(max_size=40))
    def invent(self, role: Role, data: bytes) -> None:
        self._deliver(role, data)

    @rule(role=st.sampled_from(Role))
    def altered(self, role: Role) -> None:
        if self.heard[role] < len(self.said[role.other]):
            data = bytearray(self.said[role.other][self.heard[role]])
            at = len(data) // 2
            data[at] = data[at] ^ 1
            self._deliver(role, bytes(data))

    @invariant()
    def an_end_meets_the_other_one_or_nobody(self) -> None:
        for role, one in getattr(self, "ends", {}).items():
            if one.result is None:
                continue
            assert self.same, "without the password nobody meets anybody"
            assert role not in self.lied_to, "an end that was lied to has no result"
            assert one.result.card.public_key == key_of(CALLED[role.other])
            other = self.ends[role.other]
            assert other.result is None or other.result.key == one.result.key
            assert role.other not in self.lied_to or other.result is None

    @invariant()
    def nobody_is_named(self) -> None:
        assert getattr(self, "named", set()) == set()

    @invariant()
    def who_guesses_wrong_meets_nobody(self) -> None:
        for fake in getattr(self, "fakes", {}).values():
            assert fake.result is None


LyingServer.TestCase.settings = settings(
    max_examples=40, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLyingServer = LyingServer.TestCase
