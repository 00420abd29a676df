"""The golden vectors are what the package computes, PROTOCOL.md says the same, and another implementation agrees."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mpcnode.commands import MAX_CONTENT_BYTES
from mpcnode.consent import limits as consent
from mpcnode.crypto import tags
from mpcnode.mesh import delivery, negotiation, pool, sdp
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.peers import conversation, hello, kept, room
from mpcnode.peers.introductions import meeting
from mpcnode.server.limits import Limits
from mpcnode.server.slots import machine as slots
from mpcnode.server.slots.reasons import ERRORS as SLOT_ERRORS
from mpcnode.session import attempt, catch_up
from mpcnode.session.kinds import sign as kind
from mpcnode.session.services import SessionTimeouts
from mpcnode.session.state import TRANSITIONS, State
from mpcnode.signaling import outbox
from mpcnode.types import MAX_PARTICIPANTS
from mpcnode.wire import fields, framing, relay
from mpcnode.wire.slots import MESSAGES as SLOT_MESSAGES
from tests.vectors.__main__ import SUBJECTS, made
from tests.vectors.made import FOLDER

ROOT = Path(__file__).parent.parent
JAVASCRIPT = ROOT / "tests" / "javascript"
PROTOCOL = (ROOT / "PROTOCOL.md").read_text("utf-8")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_vectors_are_what_the_package_computes(subject: str) -> None:
    assert (FOLDER / f"{subject}.json").read_text("ascii") == made(subject), (
        "run `make vectors`, and look at the change"
    )


def test_every_file_of_vectors_has_its_generator_and_its_place_in_the_protocol() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SUBJECTS)
    for subject in SUBJECTS:
        assert f"`{subject}.json`" in PROTOCOL


def test_the_protocol_lists_every_tag_of_the_package_once() -> None:
    listed = re.findall(r"^\| `(mpcnode/[a-z-]+/v1)` \|", PROTOCOL, re.MULTILINE)
    assert sorted(listed) == sorted(value for name, value in vars(tags).items() if name.isupper())


def test_the_protocol_names_no_tag_that_the_package_does_not_have() -> None:
    known = {value for name, value in vars(tags).items() if name.isupper()}
    assert set(re.findall(r"mpcnode/[a-z-]+/v1", PROTOCOL)) == known


def test_every_section_that_a_docstring_names_is_in_the_protocol() -> None:
    headings = set(re.findall(r"^##+ (.+)$", PROTOCOL, re.MULTILINE))
    for path in (ROOT / "mpcnode").rglob("*.py"):
        text = re.sub(r"\s+", " ", path.read_text("utf-8"))
        for named in re.findall(r"PROTOCOL(?:,| section) ([A-Z][a-z]+(?: [a-z]+)*)", text):
            words = named.split()
            assert any(" ".join(words[:count]) in headings for count in range(1, len(words) + 1)), (path.name, named)


def _budget(budget: tuple[int, float]) -> str:
    return f"{budget[0]}, then one in {budget[1]:g} s"


TIMEOUTS, MESH, SERVER, SLOTS = SessionTimeouts(), MeshTimeouts(), Limits(), slots.USUAL
LIMITS = {
    "hello unanswered: said again / given up": f"{room.HELLO_AGAIN:.0f} s / {TIMEOUTS.introduce:.0f} s",
    "greetings of one peer": _budget(conversation.GREETINGS),
    "hellos that answer one peer": _budget(conversation.ANSWERS),
    "one peer is sealed again what is kept": _budget(conversation.RESENDINGS),
    "answers to one peer about what is not understood": _budget(conversation.UNSUPPORTED_ANSWERS),
    "hellos that answer all strangers": _budget(conversation.STRANGERS_ANSWERS),
    "greetings of all strangers, and answers to other versions": _budget(conversation.STRANGERS_GREETINGS),
    "what waits for the server: in all, for strangers": f"{outbox.MAX_BYTES:,}, {outbox.MAX_STRANGERS_BYTES:,} bytes",
    "clocks may differ": f"{hello.CLOCK_SKEW // 1000} s",
    "relayed message: reorder window, kept for resending, remembered": f"{conversation.REORDER_WINDOW}, "
    f"{kept.KEPT_FOR_RESENDING}, {conversation.TAKEN_REMEMBERED}",
    "conversations": f"{conversation.MAX_CONVERSATIONS}",
    "answers to a proposal": f"`answer_within`, {TIMEOUTS.negotiate:.0f} s where nobody says otherwise, at most a day; "
    f"then {attempt.GRACE:.0f} s for the start",
    "asked again by the server": f"{attempt.ASK_AGAIN} s",
    "sessions proposed by one known participant, one stranger, all strangers, at once": f"{consent.MAX_KNOWN}, "
    f"{consent.MAX_STRANGER}, {consent.MAX_STRANGERS}",
    "session ids remembered when over": f"{consent.MAX_REMEMBERED} that ran, {consent.MAX_REMEMBERED} refused",
    "messages that wait for their proposal": f"{consent.MAX_EARLY} a sender, {consent.MAX_EARLY_SENDERS} senders",
    "link: one try, tries, all of a mesh": f"{MESH.attempt:.0f} s, {MESH.tries}, {MESH.all_tries + MESH.grace:.0f} s",
    "link: answering side gives up": f"{MESH.all_tries + MESH.attempt:.0f} s",
    "pause between tries that are lost": f"{negotiation.RETRY_PAUSE} s times the tries",
    "ping, quiet, silent, announce": f"{MESH.ping:.0f} s, {MESH.quiet} s, {MESH.dead:.0f} s, {MESH.announce} s",
    "words compared": f"{TIMEOUTS.confirm:.0f} s",
    "listening for evidence": f"{TIMEOUTS.evidence:.0f} s",
    "last words, and acknowledgement of what must be heard": f"{TIMEOUTS.leave:.0f} s",
    "sessions go on after `idle`": f"{pool.GRACE:.0f} s",
    "certificates asked for": f"every {catch_up.ASK_EVERY:.0f} s",
    "server: frame, rate, burst": f"{SERVER.message_bytes:,} bytes, {SERVER.messages_per_second:.0f} a second, "
    f"{SERVER.burst}",
    "server: register within, ping after silence, twice": f"{SERVER.register_seconds:.0f} s, "
    f"{SERVER.ping_seconds:.0f} s",
    "server: connections of one address (IPv6: /64), in all": f"{SERVER.connections_per_address}, "
    f"{SERVER.connections:,}",
    "server: what waits for a slow reader": f"{SERVER.outbox_bytes // 1024} KiB",
    "slot: waits for its other end, then lives at most, rests when it is over": f"{SLOTS.open_seconds:,} s, "
    f"{SLOTS.pair_seconds} s, {SLOTS.rest_seconds} s",
    "slots: of one address (IPv6: /64), in all, those that rest included": f"{SLOTS.slots_per_address}, "
    f"{SLOTS.slots:,}",
    "claims of one address at once, lasting": f"{SLOTS.claims}, {SLOTS.claims_per_second:g} a second",
    "pairing: the server answers, the other end comes, both are done": f"{meeting.ANSWER_SECONDS:.0f} s, "
    f"{meeting.WAIT_SECONDS:,.0f} s, {meeting.PAIR_SECONDS:.0f} s",
    "slot: messages of one end, bytes of one": f"{SLOT_MESSAGES}, {fields.MAX_SLOT_BYTES:,}",
    "SDP, its lines, candidates used": f"{sdp.MAX_SDP:,}, {sdp.MAX_LINE}, {sdp.MAX_CANDIDATES}",
    "frame, message, round data": f"{framing.FRAME_SIZE:,}, {framing.MAX_MESSAGE:,}, {fields.MAX_DATA_BYTES:,} bytes",
    "pieces not reported, reported after": f"{framing.WINDOW}, {framing.REPORT_AFTER}",
    "unacknowledged for one peer": f"{delivery.MAX_UNACKED:,} bytes",
    "messages waiting for one session, from one peer": f"{pool.MAX_WAITING}, {pool.MAX_WAITING_BYTES:,} bytes",
    "participants, suites of a proposal, contents": f"{MAX_PARTICIPANTS}, 4, {kind.MAX_BATCH}",
    "contents of a session: one, all": f"{MAX_CONTENT_BYTES:,}, {kind.MAX_CONTENTS_SIZE:,} bytes",
    "terms of a proposal: how many, all": f"{relay.MAX_TERMS}, {fields.MAX_TERMS_BYTES:,} bytes",
    "terms of an acceptance: how many, all": f"{relay.MAX_ACCEPTANCE_TERMS}, {relay.MAX_ACCEPTANCE_TERMS_BYTES} bytes",
    "a seal through the server": f"{fields.MAX_BODY_BYTES:,} bytes",
}


@pytest.mark.parametrize("what", LIMITS)
def test_the_protocol_says_the_limits_and_timers_of_the_package(what: str) -> None:
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", PROTOCOL.partition("## Timers and limits")[2], re.MULTILINE))
    assert rows[what] == LIMITS[what]


def _section(name: str) -> str:
    return PROTOCOL.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_the_protocol_has_the_errors_of_slots() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (\d{4}) \|$", _section("Slots"), re.MULTILINE)
    assert {code: int(close) for code, close in rows} == {code: close for code, (_, close) in SLOT_ERRORS.items()}


def test_the_protocol_has_the_table_of_a_link() -> None:
    rows = re.findall(r"^\| (\w+)(?: \([a-z ]+\))? \| (.*?) ?\|$", _section("Link"), re.MULTILINE)
    told = {
        state: dict(step.split(": ") for step in steps.split("; ") if step)
        for state, steps in rows
        if state.upper() in negotiation.State.__members__
    }
    assert told == {
        state.name.lower(): {event.name.lower().replace("_", " "): after.name.lower() for event, after in steps.items()}
        for state, steps in negotiation.TRANSITIONS.items()
    }


def test_the_protocol_has_the_table_of_an_attempt() -> None:
    words = {"the result stands": "result", "a failure": "fail"}
    rows = re.findall(r"^\| ([a-z, ]+) \| ([a-z ]+) \| ([a-z]+) \|$", _section("Agreement"), re.MULTILINE)
    told = {
        (state, words.get(event, event), after)
        for states, event, after in rows
        for state in states.split(", ")
        if state.upper() in State.__members__
    }
    assert told == {
        (state.name.lower(), event.name.lower().replace("_", " "), after.name.lower())
        for state, steps in TRANSITIONS.items()
        for event, after in steps.items()
    }


def test_an_implementation_in_javascript_computes_the_same_vectors() -> None:
    node = shutil.which("node")
    installed = (JAVASCRIPT / "node_modules" / "@noble").is_dir()
    if os.environ.get("CI") != "true" and (node is None or not installed):
        pytest.skip("node or its packages are not here: install node, then run `make vectors-js`")
    assert node is not None, "CI runs the second implementation: node is not here"
    assert installed, "CI runs the second implementation: `make vectors-js` comes first"
    done = subprocess.run([node, "--test"], cwd=JAVASCRIPT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"(?m)^\W*pass [1-9]", done.stdout), done.stdout[-1000:]
