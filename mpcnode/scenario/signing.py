"""The ``sign`` step: have a node sign, and believe nothing of what comes back without a look at it."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from mpcnode import status
from mpcnode.control.lines import Line, SignArguments
from mpcnode.errors import MpcError
from mpcnode.scenario import model
from mpcnode.scenario.asking import NobodyToAsk, client_of
from mpcnode.scenario.endings import END_DEADLINE, NotAsWritten, check_error, ending
from mpcnode.scenario.model import Expect, Step
from mpcnode.scenario.report import SignatureReport
from mpcnode.scenario.verifying import SUITES, check_signatures

if TYPE_CHECKING:
    from mpcnode.scenario.runner import World


async def sign(world: "World", step: Step, action: model.Sign, *, tell: Callable[[SignatureReport], None]) -> None:
    """Carry the step out.

    Args:
        world: the nodes.
        step: the step, and how it has to end.
        action: what it does.
        tell: takes what was signed, as soon as it is verified.

    Raises:
        NotAsWritten: a signature is not valid, or something else is not as expected.
        MpcError: what the node says went wrong.
    """
    proposed: list[status.Proposed] = []

    def remember(event: status.Event) -> None:
        if isinstance(event, status.Proposed):
            proposed.append(event)

    arguments = SignArguments(
        wallet=action.wallet,
        messages=tuple(message.hex() for message in action.messages),
        reading=action.reading,
        suite=SUITES[action.suite],
        with_peers=tuple(world.peer_ids[name] for name in action.with_peers),
    )
    view: status.SignatureView | None = None
    try:
        async with await client_of(world, action.by) as client:
            view = await client.sign(arguments, user=NobodyToAsk(), emit=remember)
    except MpcError as error:
        if step.expect.error is not None:
            await ending(world, step, error)  # whoever was killed is dead now, and asked nothing any more
            await _check(world, step, action, proposed, None, tell=tell)
        raise
    await _check(world, step, action, proposed, view, tell=tell)


async def _check(
    world: "World",
    step: Step,
    action: model.Sign,
    proposed: Collection[status.Proposed],
    view: status.SignatureView | None,
    *,
    tell: Callable[[SignatureReport], None],
) -> None:
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
        # It is the run that met it, asking around: it must not be taken for the end of the step.
        raise NotAsWritten(f"it cannot be checked: {error.message}") from error


async def _verify(world: "World", action: model.Sign, view: status.SignatureView) -> SignatureReport:
    """Verify everything in ``view`` for the key that the wallet's participants hold, whatever ``view`` says it is."""
    if view.messages != tuple(message.hex() for message in action.messages):
        raise NotAsWritten("the signatures are for other messages")
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
    found = sorted((name, failure.code) for failure in view.failures for name in failure.culprits or ("nobody",))
    if sorted(name for name, _ in found) != sorted(expect.failures):
        raise NotAsWritten(f"as failed it names {found}, not {sorted(expect.failures)}")
    for name, code in found:
        if code not in _codes(expect.failures[name]):
            raise NotAsWritten(f"{name} failed with {code}, not {' or '.join(_codes(expect.failures[name]))}")


async def _check_signers(
    world: "World", action: model.Sign, view: status.SignatureView, sessions: Collection[str]
) -> None:
    """Every other signer holds the same signatures."""
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


async def _ended(
    world: "World", name: str, expected: model.EndExpect, sessions: Collection[str]
) -> status.SessionEnded:
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
