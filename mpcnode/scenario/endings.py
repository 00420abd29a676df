"""How a step ended, at the node that acted and for everybody else, against what the scenario says.

A run checks everything that comes back: it verifies signatures with other libraries, and with no line of the code that
the nodes verify with.
"""

import asyncio
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from btclib_secp256k1 import ssa
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from mpcnode import status
from mpcnode.commands import DEFAULT_SUITES
from mpcnode.control.lines import Line
from mpcnode.errors import Interrupted, MpcError
from mpcnode.readings import registry as readings
from mpcnode.scenario import model
from mpcnode.scenario.model import NODE_DIED, Expect, Step
from mpcnode.scenario.report import SignatureReport
from mpcnode.scenario.world import World
from mpcnode.types import PeerId, SuiteId

END_DEADLINE: Final = 60.0
"""Seconds the other participants have to see the end of a session that ended for one of them."""
DEATH_DEADLINE: Final = 5.0
"""Seconds until a node that said its last word is seen to be dead."""

SUITES: Final[Mapping[str, SuiteId]] = dict(zip(("ed25519", "taproot"), DEFAULT_SUITES, strict=True))
"""The ciphersuites of a run's wallets, as a scenario calls them."""

_LIBRARIES: Final[Mapping[str, str]] = {SUITES["ed25519"]: "PyNaCl", SUITES["taproot"]: "libsecp256k1"}


class NotAsWritten(Exception):
    """A step did not end as the scenario says."""


async def ending(world: World, step: Step, error: MpcError) -> status.ErrorView:
    """The error as data; of a node that was killed it says that, and not that the connection to it is gone."""
    process = world.nodes.get(step.node)
    if isinstance(error, Interrupted) and process is not None:
        try:
            code = await process.wait(deadline=DEATH_DEADLINE)
        except TimeoutError:
            code = None
        if code == -signal.SIGKILL:
            message = f"{step.node} was killed"
            return status.ErrorView(NODE_DIED, message, exit_code=code, fault="us", culprits=(step.node,))
    return status.error_view(error)


def check_error(expect: Expect | model.EndExpect, ended: status.ErrorView) -> None:
    """Compare an error with the one that is expected, if one is.

    Raises:
        NotAsWritten: it is another.
    """
    if expect.error is None:
        raise NotAsWritten(f"it ended with {ended.code}: {ended.message}")
    errors = (expect.error,) if isinstance(expect.error, str) else expect.error
    if ended.code not in errors:
        raise NotAsWritten(f"it ended with {ended.code}, not {' or '.join(errors)}: {ended.message}")
    _check_named("it", expect, ended)
    if expect.exit is not None and ended.exit_code != expect.exit:
        raise NotAsWritten(f"the exit code is {ended.exit_code}, not {expect.exit}")


def check_epochs(found: Mapping[str, int], expect: Expect) -> None:
    """Compare the epochs in use with those that are expected, if any are.

    Args:
        found: the wallets, each with its epoch.
        expect: names wallets and their epochs.

    Raises:
        NotAsWritten: one is another.
    """
    for name, epoch in (expect.epochs or {}).items():
        if found.get(name) != epoch:
            raise NotAsWritten(f"the wallet {name} is at epoch {found.get(name)}, not {epoch}")


async def check_others(world: World, by: str, proposed: list[status.Proposed], expect: model.OthersExpect) -> None:
    """Compare how the last session ended for every other participant that still runs and does not cheat.

    Raises:
        NotAsWritten: it ended otherwise.
    """
    if not proposed:
        raise NotAsWritten("no session was proposed, so it did not end for anybody")
    cheats = {name for name, options in world.scenario.nodes.items() if options.cheat is not None}
    names = [name for name in participants(world, proposed[-1]) if name != by and name not in cheats]
    for name, ended in await _session_ends(world, names, proposed[-1].session_id):
        if ended.error is None:
            raise NotAsWritten(f"for {name} it ended well, and was to end with {' or '.join(expect.errors)}")
        if ended.error.code not in expect.errors:
            expected = " or ".join(expect.errors)
            raise NotAsWritten(f"for {name} it ended with {ended.error.code}, not {expected}: {ended.error.message}")
        _check_named(name, expect, ended.error)


def _check_named(name: str, expect: Expect | model.EndExpect | model.OthersExpect, ended: status.ErrorView) -> None:
    if expect.culprits is not None and sorted(ended.culprits) != sorted(expect.culprits):
        raise NotAsWritten(f"{name} convicts {sorted(ended.culprits)}, not {sorted(expect.culprits)}")
    if expect.suspects is not None and sorted(ended.suspects) != sorted(expect.suspects):
        raise NotAsWritten(f"{name} suspects {sorted(ended.suspects)}, not {sorted(expect.suspects)}")
    named = expect.named if isinstance(expect, model.OthersExpect) else ()
    if missed := sorted(set(named) - set(ended.suspects)):
        raise NotAsWritten(f"{name} suspects {sorted(ended.suspects)}, and {missed} are not among them")


async def check_state(
    world: World, wallet: status.WalletView, proposed: list[status.Proposed], state: str, *, words: bool
) -> None:
    """Check that every participant holds the same wallet, showed the same words, and finds the certificate valid.

    Args:
        world: the nodes.
        wallet: as the node that proposed shows it.
        proposed: the sessions that were proposed for it.
        state: the state that it has to have everywhere.
        words: whether the session showed safety words.

    Raises:
        NotAsWritten: one does not.
    """
    names = participants(world, proposed[-1])
    ends = await _session_ends(world, names, proposed[-1].session_id)
    if len(ends) != wallet.total:
        raise NotAsWritten(f"only {sorted(name for name, _ in ends)} of the participants still run")
    if words and (not all(ended.words for _, ended in ends) or len({ended.words for _, ended in ends}) != 1):
        raise NotAsWritten(f"the safety words differ: { {name: ' '.join(ended.words) for name, ended in ends} }")
    for name in names:
        held = [one for one in await world.wallets(name) if one.wallet_id == wallet.wallet_id]
        if len(held) != 1:
            raise NotAsWritten(f"{name} does not hold the wallet")
        if held[0].state != state:
            raise NotAsWritten(f"at {name} the wallet is {held[0].state}, not {state}")
        if not held[0].certificate_valid:
            raise NotAsWritten(f"{name} finds the certificate invalid")
        if (held[0].epoch, held[0].epoch_id) != (wallet.epoch, wallet.epoch_id):
            raise NotAsWritten(f"{name} is at another epoch than {wallet.peer_id}: {held[0].epoch}, not {wallet.epoch}")
        if held[0].group_public_keys != wallet.group_public_keys or not wallet.group_public_keys:
            raise NotAsWritten(f"{name} holds other group public keys than {wallet.peer_id}")
        if held[0].verifying_shares != wallet.verifying_shares:
            raise NotAsWritten(f"{name} holds other verifying shares than {wallet.peer_id}")


async def _session_ends(world: World, names: Iterable[str], session_id: str) -> list[tuple[str, status.SessionEnded]]:
    """How the session ended for each of ``names`` that can say so."""

    def end(line: Line) -> status.SessionEnded | None:
        return line if isinstance(line, status.SessionEnded) and line.session_id == session_id else None

    async def wait(name: str) -> status.SessionEnded | None:
        try:
            return await world.nodes[name].wait_for(end, deadline=END_DEADLINE)
        except MpcError:
            if world.nodes[name].was_killed:
                return None
            raise

    able = [name for name in names if world.nodes[name].running and not world.nodes[name].paused]
    ends = await asyncio.gather(*map(wait, able))
    return [(name, ended) for name, ended in zip(able, ends, strict=True) if ended is not None]


def participants(world: World, proposal: status.Proposed) -> list[str]:
    """The nodes behind the proposal's peer ids; of two that claim one name, the one that got it."""
    by_peer_id = {peer_id: name for name, peer_id in reversed(world.peer_ids.items())}
    return [by_peer_id[PeerId(peer.peer_id)] for peer in proposal.participants]


# ---- signatures ----


async def check_signed(
    world: World,
    step: Step,
    action: model.Sign,
    proposed: Collection[status.Proposed],
    view: status.SignatureView | None,
    *,
    tell: Callable[[SignatureReport], None],
) -> None:
    """Compare what a ``sign`` step came to with what the scenario says.

    Args:
        world: the nodes.
        step, action: the step, and what it does.
        proposed: the sessions that were proposed for it.
        view: the node's answer; None where it ended with an error.
        tell: takes what was signed, as soon as it is verified.

    Raises:
        NotAsWritten: a signature is not valid, or something else is not as expected.
    """
    sessions = frozenset(one.session_id for one in proposed)
    try:
        if view is not None:
            tell(await _verify(world, action, view))
            _check_view(view, step.expect)
            if step.expect.verified:
                await _check_signers(world, action, view, sessions)
        for name, expected in (step.expect.ends or {}).items():
            ended = await _ended(world, name, expected, sessions)
            if ended.signature is not None:
                tell(await _verify(world, action, ended.signature))
    except MpcError as error:
        # The run met this error when it asked the nodes: it must not be taken for the end of the step.
        raise NotAsWritten(f"it cannot be checked: {error.message}") from error


async def _verify(world: World, action: model.Sign, view: status.SignatureView) -> SignatureReport:
    """Verify everything in ``view`` for the key that the wallet's participants hold, not for the one it names."""
    if view.messages != tuple(message.hex() for message in action.messages):
        raise NotAsWritten("the signatures are for other messages")
    if view.signed != tuple(readings.signed_bytes(action.reading, message).hex() for message in action.messages):
        raise NotAsWritten(f"what was signed is not the {action.reading} that was to be signed")
    if view.suite != SUITES[action.suite]:
        raise NotAsWritten(f"the signatures are of {view.suite!a}, not of {SUITES[action.suite]}")
    held = [one for name in world.nodes for one in await world.wallets(name) if one.wallet_id == view.wallet_id]
    keys = {one.group_public_keys.get(view.suite) for one in held if one.state == "active"}
    if keys != {view.public_key}:
        raise NotAsWritten(f"the signatures are for the key {view.public_key!a}, and the nodes hold {keys}")
    verified_by = check_signatures(view)
    return SignatureReport(
        wallet=view.name,
        suite=view.suite,
        public_key=view.public_key,
        reading=action.reading,
        messages=view.messages,
        signatures=view.signatures,
        signers=view.signers,
        attempts=view.attempts,
        failures=view.failures,
        verified_by=verified_by,
    )


def _check_view(view: status.SignatureView, expect: Expect) -> None:
    signers = sorted(view.signers)
    if expect.signers is not None and len(signers) != expect.signers:
        raise NotAsWritten(f"{signers} signed, which are not {expect.signers}")
    if expect.signed_by is not None and signers != sorted(expect.signed_by):
        raise NotAsWritten(f"{signers} signed, not {sorted(expect.signed_by)}")
    if expect.failures is None:
        return
    found = sorted((name, failure.code) for failure in view.failures for name in failure.named or ("nobody",))
    if sorted(name for name, _ in found) != sorted(expect.failures):
        raise NotAsWritten(f"as failed it names {found}, not {sorted(expect.failures)}")
    for name, code in found:
        if code not in _codes(expect.failures[name]):
            raise NotAsWritten(f"{name} failed with {code}, not {' or '.join(_codes(expect.failures[name]))}")


async def _check_signers(
    world: World, action: model.Sign, view: status.SignatureView, sessions: Collection[str]
) -> None:
    """Check that every other signer holds the same signatures."""
    cheats = {name for name, options in world.scenario.nodes.items() if options.cheat is not None}
    by_peer_id: dict[str, str] = {peer_id: name for name, peer_id in reversed(world.peer_ids.items())}
    wanted = set(zip(view.messages, view.signatures, strict=True))
    for name in (by_peer_id[name] for name in view.signers if by_peer_id[name] not in {action.by, *cheats}):
        held: set[tuple[str, str]] = set()

        def holds(line: Line, held: set[tuple[str, str]] = held) -> bool | None:
            if isinstance(line, status.SessionEnded) and line.session_id in sessions and line.signature is not None:
                held |= set(zip(line.signature.messages, line.signature.signatures, strict=True))
            return True if held == wanted else None

        try:
            await world.nodes[name].wait_for(holds, deadline=END_DEADLINE)
        except MpcError:
            if not world.nodes[name].was_killed:
                raise NotAsWritten(f"{name} holds {len(held & wanted)} of the {len(wanted)} signatures") from None


async def _ended(world: World, name: str, expected: model.EndExpect, sessions: Collection[str]) -> status.SessionEnded:
    differences: list[str] = []

    def fits(line: Line) -> status.SessionEnded | None:
        if not isinstance(line, status.SessionEnded) or line.session_id not in sessions:
            return None
        try:
            _compare(expected, line)
        except NotAsWritten as difference:
            differences.append(str(difference))
            return None
        return line

    try:
        return await world.nodes[name].wait_for(fits, deadline=END_DEADLINE)
    except MpcError:
        said = "; ".join(differences) or "no session of this step did"
        raise NotAsWritten(f"for {name} it did not end as written: {said}") from None


def _compare(expected: model.EndExpect, ended: status.SessionEnded) -> None:
    if ended.error is not None:
        check_error(expected, ended.error)
    elif expected.error is not None:
        raise NotAsWritten(f"it ended well, and was to end with {' or '.join(_codes(expected.error))}")
    elif ended.signature is None:
        raise NotAsWritten("it was not needed")


def _codes(said: str | tuple[str, ...]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else said


def check_signatures(view: status.SignatureView) -> str:
    """Verify every signature for its message and the public key; say with which library.

    Raises:
        NotAsWritten: one is not valid, or there is not one for each message.
    """
    if not len(view.signatures) == len(view.messages) == len(view.signed):
        raise NotAsWritten(f"there are {len(view.signatures)} signatures for {len(view.messages)} messages")
    for number, (message, signature) in enumerate(zip(view.signed, view.signatures, strict=True), 1):
        if not _is_valid(view.suite, view.public_key, message, signature):
            raise NotAsWritten(f"{_LIBRARIES[view.suite]} finds signature {number} of {len(view.messages)} invalid")
    return _LIBRARIES[view.suite]


def _is_valid(suite: str, *hexadecimal: str) -> bool:
    try:
        key, message, signature = map(bytes.fromhex, hexadecimal)
        if suite == SUITES["ed25519"]:
            VerifyKey(key).verify(message, signature)
            return True
        return len(signature) == 64 and ssa.verify(message, key, signature)
    except (BadSignatureError, ValueError):
        return False
