"""The sign step: a run believes no signature it did not verify."""

from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

import msgspec
import pytest
from btclib_secp256k1 import keys, ssa
from nacl.signing import SigningKey

from mpcnode import status
from mpcnode.commands import Sign
from mpcnode.control.lines import Line
from mpcnode.errors import Interrupted, MpcError, ParticipantRefused, ParticipantSilent, Refused
from mpcnode.readings.registry import signed_bytes
from mpcnode.scenario.endings import SUITES
from mpcnode.scenario.model import Scenario, parse
from mpcnode.scenario.report import ScenarioReport, SignatureReport, StepReport, shared_lines, step_row
from mpcnode.scenario.steps import Outcome, carry_out
from mpcnode.types import PeerId, Reading

T = TypeVar("T")

SECRET = SigningKey(bytes(range(32)))
KEYS = {SUITES["ed25519"]: SECRET.verify_key.encode(), SUITES["taproot"]: keys.pubkey_from_prvkey(bytes(range(1, 33)))}
WALLET_ID = "ab" * 16
SESSION = "cd" * 16


# ---- what a run believes ----


def page(sign: str, expect: str = "{}") -> bytes:
    return f"nodes: [a, b, c]\nsteps:\n  - sign: {{by: a, wallet: w, {sign}}}\n    expect: {expect}\n".encode()


def signed(
    messages: tuple[bytes, ...], suite: str = "ed25519", reading: Reading = "text", **changes: Any
) -> status.SignatureView:
    taproot = suite == "taproot"
    read = tuple(signed_bytes(reading, one) for one in messages)
    made = (ssa.sign_custom(one, bytes(range(1, 33))) if taproot else SECRET.sign(one).signature for one in read)
    view = status.SignatureView(
        wallet_id=WALLET_ID,
        name="w",
        suite=SUITES[suite],
        public_key=KEYS[SUITES[suite]].hex(),
        messages=tuple(one.hex() for one in messages),
        signed=tuple(one.hex() for one in read),
        signatures=tuple(one.hex() for one in made),
        signers=("a", "b"),
    )
    return msgspec.structs.replace(view, **changes)


def ended(view: status.SignatureView | None = None, error: MpcError | None = None) -> status.SessionEnded:
    shown = status.error_view(error) if error is not None else None
    return status.SessionEnded(session_id=SESSION, kind="sign", proposer="a", seconds={}, signature=view, error=shown)


class FakeProcess:
    """Something that said what it said, and says no more."""

    running = was_killed = False

    def __init__(self, *lines: Line) -> None:
        self.lines = lines

    async def wait_for(self, wanted: Callable[[Line], T | None], *, deadline: float) -> T:
        found = next((one for one in map(wanted, self.lines) if one is not None), None)
        if found is None:
            raise ParticipantSilent(f"nothing in {deadline} s")
        return found

    async def wait(self, *, deadline: float) -> int:
        raise TimeoutError(deadline)


class FakeWorld:
    """Three nodes of a wallet, of which one answers ``sign`` with what a test gives it."""

    def __init__(self, scenario: Scenario, answer: status.SignatureView | MpcError) -> None:
        self.scenario = scenario
        self.peer_ids = {name: PeerId(name) for name in scenario.nodes}
        self.nodes = {name: FakeProcess() for name in scenario.nodes}
        self.answer = answer
        self.asked: list[Sign] = []
        self.keys: dict[str, str] = {suite: key.hex() for suite, key in KEYS.items()}
        self.unreachable = False

    async def client(self, _name: str) -> "FakeWorld":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def sign(self, command: Sign, *, user: object, emit: Callable[[status.Event], None]) -> status.SignatureView:
        assert user is not None
        self.asked.append(command)
        emit(
            status.Proposed(
                session_id=SESSION,
                kind="sign",
                proposer="a",
                wallet="w",
                threshold=2,
                total=3,
                participants=(),
                suites=(),
                expires=0,
            )
        )
        if isinstance(self.answer, MpcError):
            raise self.answer
        return self.answer

    async def wallets(self, name: str) -> tuple[status.WalletView, ...]:
        if self.unreachable:
            raise Interrupted("the node stopped")
        view = status.WalletView(
            wallet_id=WALLET_ID,
            name="w",
            state="active",
            threshold=2,
            total=3,
            peer_id=name,
            identifier=1,
            participants=("a", "b", "c"),
            suites=tuple(self.keys),
            epoch=0,
            epoch_id="ef" * 32,
            signatures=3,
            certificate_valid=True,
            verified="nobody",
            kdf="",
            created=0,
            group_public_keys=self.keys,
        )
        return (view,)


def world_of(answer: status.SignatureView | MpcError, expect: str = "{}", sign: str = "message: hello") -> FakeWorld:
    return FakeWorld(parse(page(sign, expect), "x"), answer)


async def outcome_of(world: FakeWorld) -> Outcome:
    return await carry_out(cast("Any", world), world.scenario.steps[0])


async def problem_of(
    answer: status.SignatureView | MpcError, expect: str = "{}", sign: str = "message: hello", **nodes: FakeProcess
) -> str | None:
    world = world_of(answer, expect, sign)
    world.nodes |= nodes
    return (await outcome_of(world)).problem


HELLO = signed((b"hello",))


@pytest.mark.parametrize(
    ("sign", "view", "library"),
    [
        ("message: hello", HELLO, "PyNaCl"),
        ("hex: 68656c6c6f, suite: taproot", signed((b"hello",), "taproot", "hex"), "libsecp256k1"),
        ("batch: [one, two, one]", signed((b"one", b"two", b"one")), "PyNaCl"),
    ],
)
async def test_what_is_valid_is_reported_with_who_found_that(
    sign: str, view: status.SignatureView, library: str
) -> None:
    world = world_of(view, "{signed-by: [b, a], signers: 2, failures: {}}", sign)
    outcome = await outcome_of(world)
    assert outcome.problem is None
    assert outcome.signed is not None
    assert (outcome.signed.verified_by, outcome.signed.signatures) == (library, view.signatures)
    assert world.asked[0].suite == view.suite


@pytest.mark.parametrize("suite", ["ed25519", "taproot"])
async def test_a_signature_that_is_not_valid_is_found(suite: str) -> None:
    view = signed((b"hello", b"world"), suite)
    swapped = msgspec.structs.replace(view, signatures=view.signatures[::-1])
    problem = await problem_of(swapped, sign=f"batch: [hello, world], suite: {suite}")
    assert problem is not None
    assert problem.endswith("finds signature 1 of 2 invalid")


@pytest.mark.parametrize("signature", ["", "00" * 63, "00" * 64, "ff" * 64, HELLO.signatures[0] + "00", "no hex"])
@pytest.mark.parametrize("suite", ["ed25519", "taproot"])
async def test_what_is_no_signature_is_found(suite: str, signature: str) -> None:
    view = signed((b"hello",), suite, signatures=(signature,))
    assert "invalid" in str(await problem_of(view, sign=f"message: hello, suite: {suite}"))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"messages": (b"hallo".hex(),)}, "the signatures are for other messages"),
        ({"messages": ()}, "the signatures are for other messages"),
        ({"signed": (b"hello".hex(),)}, "what was signed is not the text"),
        ({"signed": ()}, "what was signed is not the text"),
        ({"signatures": ()}, "there are 0 signatures for 1 messages"),
        ({"signatures": HELLO.signatures * 2}, "there are 2 signatures for 1 messages"),
        ({"suite": SUITES["taproot"]}, "the signatures are of"),
        ({"public_key": "00" * 32}, "the signatures are for the key"),
        ({"wallet_id": "00" * 16}, "the signatures are for the key"),
    ],
)
async def test_a_valid_signature_of_something_else_is_found(changes: dict[str, Any], problem: str) -> None:
    assert problem in str(await problem_of(msgspec.structs.replace(HELLO, **changes)))


async def test_a_key_that_the_wallets_participants_do_not_hold_is_no_key() -> None:
    other = SigningKey(bytes(32))
    signature = other.sign(b"hello").signature.hex()
    view = msgspec.structs.replace(HELLO, public_key=other.verify_key.encode().hex(), signatures=(signature,))
    assert "the signatures are for the key" in str(await problem_of(view))


FAILED = status.error_view(ParticipantSilent("c said nothing", suspects=[PeerId("c")]))


@pytest.mark.parametrize(
    ("expect", "failures", "problem"),
    [
        ("{signers: 3}", (), "which are not 3"),
        ("{signed-by: [a, c]}", (), "['a', 'b'] signed, not ['a', 'c']"),
        ("{signed-by: [a]}", (), "['a', 'b'] signed, not ['a']"),
        ("{failures: {}}", (FAILED,), "as failed it names"),
        ("{failures: {c: participant_silent}}", (), "as failed it names"),
        ("{failures: {c: participant_silent}}", (FAILED, FAILED), "as failed it names"),
        ("{failures: {c: participant_cheated}}", (FAILED,), "c failed with participant_silent, not"),
        ("{failures: {}}", (status.error_view(ParticipantSilent("nobody")),), "as failed it names"),
        ("{error: refused}", (), "it ended well, and was to end with refused"),
    ],
)
async def test_signers_and_failures_are_compared(
    expect: str, failures: tuple[status.ErrorView, ...], problem: str
) -> None:
    assert problem in str(await problem_of(msgspec.structs.replace(HELLO, failures=failures), expect))


async def test_of_several_codes_one_will_do() -> None:
    view = msgspec.structs.replace(HELLO, failures=(FAILED,))
    assert await problem_of(view, "{failures: {c: [link_failed, participant_silent]}}") is None


async def test_verified_means_that_every_other_signer_holds_the_same() -> None:
    expect = "{verified: true}"
    assert await problem_of(HELLO, expect, b=FakeProcess(ended(HELLO))) is None
    other = msgspec.structs.replace(HELLO, signatures=("00" * 64,))
    for process in (FakeProcess(), FakeProcess(ended()), FakeProcess(ended(other))):
        assert await problem_of(HELLO, expect, b=process) == "b holds 0 of the 1 signatures"


async def test_verified_does_not_ask_who_was_killed() -> None:
    process = FakeProcess()
    process.was_killed = True
    assert await problem_of(HELLO, "{verified: true}", b=process) is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (ended(error=Refused("no")), None),
        (ended(error=ParticipantSilent("gone")), "it ended with participant_silent, not refused: gone"),
        (ended(HELLO), "it ended well, and was to end with refused"),
        (msgspec.structs.replace(ended(error=Refused("no")), session_id="00" * 16), "no session of this step did"),
    ],
)
async def test_how_it_ended_for_another_node_is_compared(line: status.SessionEnded, problem: str | None) -> None:
    found = await problem_of(HELLO, "{ends: {c: {error: refused, exit: 8}}}", c=FakeProcess(line))
    assert found == (problem and f"for c it did not end as written: {problem}")


async def test_an_error_that_is_expected_is_looked_at_everywhere() -> None:
    error = ParticipantRefused("no", culprits=[PeerId("b")])
    expect = "{error: participant_refused, culprits: [b], exit: 6, ends: {b: {error: refused, exit: 9}}}"
    problem = await problem_of(error, expect, b=FakeProcess(ended(error=Refused("no"))))
    assert problem == "for b it did not end as written: the exit code is 8, not 9"
    assert await problem_of(error, expect.replace("9", "8"), b=FakeProcess(ended(error=Refused("no")))) is None


async def test_who_ended_with_signatures_must_have_valid_ones() -> None:
    error = ParticipantSilent("gone", culprits=[PeerId("b")])
    expect = "{error: participant_silent, ends: {b: {verified: true}}}"
    world = world_of(error, expect)
    world.nodes["b"] = FakeProcess(ended(HELLO))
    outcome = await outcome_of(world)
    assert outcome.problem is None
    assert outcome.signed is not None
    bad = msgspec.structs.replace(HELLO, signatures=("00" * 64,))
    assert "invalid" in str(await problem_of(error, expect, b=FakeProcess(ended(bad))))
    assert "it was not needed" in str(await problem_of(error, expect, b=FakeProcess(ended())))


async def test_what_the_run_meets_while_it_checks_is_not_the_end_of_the_step() -> None:
    world = world_of(Interrupted("the node stopped"), "{error: interrupted, ends: {b: {verified: true}}}")
    world.nodes["b"] = FakeProcess(ended(HELLO))
    world.unreachable = True
    assert (await outcome_of(world)).problem == "it cannot be checked: the node stopped"


# ---- how it is shown ----


def test_a_message_is_shown_with_nothing_in_it_that_a_terminal_obeys() -> None:
    view = signed((("\x1b[2J\u202e\r\n\x9b" + "x" * 500).encode(),))
    report = SignatureReport(
        wallet="w",
        suite=view.suite,
        public_key=view.public_key,
        reading="text",
        messages=view.messages,
        signatures=view.signatures,
        signers=view.signers,
        verified_by="PyNaCl",
        failures=(FAILED,),
    )
    step = StepReport(number=1, verb="sign", node="a", seconds=0.1, signed=report)
    run = ScenarioReport(file="x", title="", ok=True, exit_code=0, seconds=1, steps=(step,))
    (line,) = shared_lines(run)
    assert line.isprintable()
    assert r"\x1b[2J\u202e\r\n\x9bxxx" in line
    assert len(line) < 400
    assert step_row(step)[-1] == "1 signature by a, b, verified by PyNaCl; failed before: c (participant_silent)"
