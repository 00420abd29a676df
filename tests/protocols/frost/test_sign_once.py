"""One answer for one commitment: not from a copy of the execution, and not from a fork of the process."""

import copy
import pickle
import subprocess
import sys
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from mpcnode.protocols.execution import Execution, ProtocolMessage
from mpcnode.protocols.frost.sign import NONCES, SIGNATURE_SHARE, sign
from mpcnode.types import Identifier
from tests.helpers.signing import ED25519, execution, signing_descriptor, wallet
from tests.helpers.simulate import name_of, seeded, signer

ME, PEER = Identifier(1), Identifier(2)
KEYS = wallet(ED25519, 2, 3)
DESCRIPTOR = signing_descriptor(KEYS, [1, 2])


def said_by(speaker: Execution[Any]) -> ProtocolMessage:
    ((_, message),) = speaker.messages_to_send()
    return message


class TwoFaced:
    """A peer that tells two stories: in each it heard our commitments, and its own are others."""

    def __init__(self, ours: ProtocolMessage) -> None:
        self.stories: list[list[ProtocolMessage]] = []
        for seed in ("story", "other story"):
            peer = execution(DESCRIPTOR, KEYS, PEER, seed=seed)
            commitments = said_by(peer)
            peer.receive(ME, ours)
            self.stories.append([commitments, said_by(peer)])
            peer.close()


def shares_sent(executions: list[Execution[Any]]) -> set[bytes]:
    return {
        message.data
        for execution in executions
        for _, message in execution.messages_to_send()
        if message.kind == SIGNATURE_SHARE
    }


def interleavings() -> list[tuple[int, ...]]:
    """Every order of two stories of two messages."""
    return sorted(set(permutations((0, 0, 1, 1))))


@pytest.mark.parametrize("order", interleavings(), ids=str)
def test_an_execution_and_its_copy_answer_one_commitment_once(order: tuple[int, ...]) -> None:
    original = execution(DESCRIPTOR, KEYS, ME)
    ours = said_by(original)
    assert ours.kind == NONCES
    both = [original, copy.copy(original)]
    stories = [iter(story) for story in TwoFaced(ours).stories]
    answers: set[bytes] = set()
    for k in order:
        # Whatever the one that lost raises, it must not have answered.
        with suppress(Exception):
            both[k].receive(PEER, next(stories[k]))
        answers |= shares_sent(both)
    assert len(answers) <= 1


def test_without_a_copy_the_story_is_answered() -> None:
    # Guards the test above: each story alone does get an answer.
    for k in (0, 1):
        original = execution(DESCRIPTOR, KEYS, ME)
        for message in TwoFaced(said_by(original)).stories[k]:
            original.receive(PEER, message)
        assert len(shares_sent([original])) == 1
        original.close()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickle.dumps])
def test_an_execution_cannot_be_stored_or_copied_whole(duplicate: Any) -> None:
    original = execution(DESCRIPTOR, KEYS, ME)
    with pytest.raises(TypeError):
        duplicate(original)
    original.close()


def test_nonces_answer_only_in_the_process_that_made_them() -> None:
    process = {"id": 1}
    script = sign(
        descriptor=DESCRIPTOR,
        me=ME,
        key=KEYS[ME].key,
        public=KEYS[ME].public,
        signer=signer(name_of(ME)),
        rng=seeded(0, ME),
        process=lambda: process["id"],
    )
    forked = Execution(script, me=ME, participants=DESCRIPTOR.participants)
    story = TwoFaced(said_by(forked)).stories[0]
    forked.receive(PEER, story[0])
    forked.messages_to_send()
    process["id"] = 2
    with pytest.raises(RuntimeError, match="another process"):
        forked.receive(PEER, story[1])
    assert forked.messages_to_send() == []


FORK = """
import os

from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost.sign import sign
from tests.helpers.simulate import name_of, seeded, signer
from tests.protocols.frost.test_sign_once import DESCRIPTOR, KEYS, ME, PEER, TwoFaced, said_by, shares_sent

script = sign(
    descriptor=DESCRIPTOR, me=ME, key=KEYS[ME].key, public=KEYS[ME].public, signer=signer(name_of(ME)),
    rng=seeded(0, ME), process=os.getpid,
)
execution = Execution(script, me=ME, participants=DESCRIPTOR.participants)
mine, other = TwoFaced(said_by(execution)).stories
child = os.fork()
story = other if child == 0 else mine
answered = 0
try:
    for message in story:
        execution.receive(PEER, message)
        answered += len(shares_sent([execution]))
except RuntimeError:
    answered = 0 if not execution.messages_to_send() else 2
if child == 0:
    os._exit(answered)
_, status = os.waitpid(child, 0)
print("parent", answered, "child", os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_a_forked_process_does_not_answer_with_the_nonces_of_its_parent() -> None:
    # In a process of its own: pytest's may have threads, which do not survive a fork.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["parent", "1", "child", "0"]
