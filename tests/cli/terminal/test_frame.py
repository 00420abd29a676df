"""What a person sees: whole screens, drawn by a terminal emulator and kept beside this file as text."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode import status
from mpcnode.cli.terminal.frame import Question, Size, approval, choice, comparison, session_rows
from mpcnode.cli.terminal.text import MARGIN
from mpcnode.cli.terminal.view import Board, SessionView
from mpcnode.readings import registry
from mpcnode.readings.file import FileContent
from tests.cli.terminal.test_text import TEXTS
from tests.helpers.emulator import Emulator, check_screen
from tests.helpers.statuses import SESSION, ended

WORDS = ("answer", "rate", "famous", "ivory", "visit", "wire")
UNTIL = 1_800_000_840_000
NAMES = ("alice", "bob", "carol", "dora", "emil", "flora-at-the-office")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def person(name: str, number: int) -> status.PeerView:
    trust: tuple[status.Trust, ...] = ("self", "verified", "unknown")
    digits = hashlib.sha256(name.encode()).hexdigest()[:40]
    return status.PeerView(name, trust[min(number, 2)], " ".join(digits[at : at + 4] for at in range(0, 40, 4)))


def keygen(*names: str) -> status.Proposed:
    return status.Proposed(
        session_id=SESSION,
        kind="keygen",
        proposer=names[0],
        wallet="treasury",
        threshold=2,
        total=len(names),
        participants=tuple(person(name, number) for number, name in enumerate(names)),
        suites=("FROST-ED25519-SHA512-v1",),
        expires=UNTIL,
    )


def signing(*messages: bytes, reading: Any = "text") -> status.Proposed:
    sign = status.SignView(
        wallet_id="ab" * 16,
        epoch=0,
        reading=reading,
        messages=tuple(message.hex() for message in messages),
        hashes=tuple(registry.digest(reading, message).hex() for message in messages),
        signed=tuple(registry.signed_bytes(reading, message).hex() for message in messages),
    )
    return msgspec.structs.replace(keygen("cli1", "cli2", "cli3"), kind="sign", proposer="cli3", sign=sign)


def fold(*events: status.Event) -> SessionView:
    board = Board()
    for event in events:
        view = board.take(event)
    assert view is not None
    return view


def screen_of(rows: list[str], size: Size) -> list[str]:
    """What is seen of rows, which must fit the screen with one row to spare, none of them broken by the terminal."""
    emulator = Emulator(size.columns, size.rows)
    emulator.show(rows)
    assert len(rows) < size.rows
    assert emulator.all_rows() == "\n".join(row.rstrip() for row in rows).rstrip("\n").split("\n")
    return emulator.seen()


SIZES = {6: Size(80, 24), 3: Size(60, 24)}


@pytest.mark.parametrize("count", [6, 3])
def test_a_key_generation_is_one_row_a_person(count: int) -> None:
    view = fold(
        keygen(*NAMES[:count]),
        status.Progress(SESSION, "confirming", ("alice",)),
        status.SafetyWords(SESSION, WORDS),
        status.Progress(SESSION, "sharing", ("carol",), until=UNTIL),
    )
    size = SIZES[count]
    check_screen(f"keygen-{count}-at-{size.columns}", screen_of(session_rows(view, size), size))


@pytest.mark.parametrize("count", [6, 3])
def test_the_words_the_question_and_everybody_who_is_asked_are_on_one_screen(count: int) -> None:
    view, size = fold(keygen(*NAMES[:count])), SIZES[count]
    question = comparison(status.SafetyWords(SESSION, WORDS, until=UNTIL), view, size)
    assert question.pages(size) == 1
    check_screen(f"words-{count}-at-{size.columns}", screen_of(question.page(0, size), size))


def test_in_ascii_the_bars_are_ascii() -> None:
    view = fold(keygen("alice", "bob"), status.Progress(SESSION, "sharing", ("bob",)))
    assert "\n".join(session_rows(view, Size(ascii_only=True))).isascii()


@pytest.mark.parametrize("count", [2, 6, 12, 64])
@pytest.mark.parametrize("size", [Size(80, 24), Size(60, 24), Size(40, 16), Size(200, 50)])
def test_every_frame_fits_and_the_words_are_always_on_it(count: int, size: Size) -> None:
    names = tuple(f"participant-{number}-" + "x" * number for number in range(count))
    waited = names[count // 2 :]
    view = fold(keygen(*names), status.SafetyWords(SESSION, WORDS), status.Progress(SESSION, "sharing", waited))
    drawn = session_rows(view, size)
    screen_of(drawn, size)
    assert " ".join(" ".join(drawn).split()).find(" ".join(WORDS)) >= 0
    people = sum("sent its share" in row or "sends its share" in row for row in drawn)
    left = [row for row in drawn if "more not shown here" in row]
    assert left == ([] if people == count else [f"  {count - people} more not shown here, {left[0].split(', ')[1]}"])
    assert people >= min(count, 3)


@pytest.mark.parametrize("count", [2, 6, 12, 64])
@pytest.mark.parametrize("size", [Size(80, 24), Size(60, 24), Size(40, 24), Size(200, 50)])
def test_a_question_is_on_each_of_its_pages_and_nobody_is_left_out(count: int, size: Size) -> None:
    names = tuple(f"participant-{number}" for number in range(count))
    question = comparison(status.SafetyWords(SESSION, WORDS), fold(keygen(*names)), size)
    seen = set()
    for number in range(question.pages(size)):
        page = screen_of(question.page(number, size), size)
        text = " ".join(" ".join(page).split())
        assert " ".join(WORDS) in text
        assert "Are these six words on" in text
        assert "[y] the same [n] different" in text
        seen |= {name for name in names if any(f"  {name} " in f"{row} " for row in page)}
        if question.pages(size) > 1:
            assert "[m] more rows" in text
            assert any(row.startswith("-- ") and " row" in row for row in page)
    assert seen == set(names)


def test_what_is_signed_is_summed_up_under_the_question() -> None:
    size = Size(80, 24)
    question = approval(signing(b"pay 5 to ben"), size)
    check_screen("sign-one-text", screen_of(question.page(0, size), size))


def test_a_batch_ends_in_a_question_with_wallet_proposer_and_count() -> None:
    size = Size(80, 24)
    question = approval(signing(*(f"invoice {number}".encode() for number in range(100))), size)
    page = screen_of(question.page(0, size), size)
    check_screen("sign-a-hundred", page)
    assert "sign these 100 texts with treasury for cli3?" in page
    seen = "\n".join(row for number in range(question.pages(size)) for row in question.page(number, size))
    assert all(f"{MARGIN}invoice {number}\n" in seen for number in range(100))


@pytest.mark.parametrize("columns", [80, 60])
def test_a_file_is_shown_by_the_hash_that_other_programs_show(columns: int) -> None:
    digest = hashlib.sha256(b"the content").digest()
    size = Size(columns, 24)
    page = screen_of(
        approval(signing(FileContent(digest, 11, "payment.bin").encode(), reading="file"), size).page(0, size), size
    )
    assert digest.hex() in "".join(row.strip() for row in page)
    check_screen(f"sign-a-file-at-{columns}", page)
    assert hashlib.sha256(digest).hexdigest() not in "".join(row.strip() for row in page)


def test_bytes_that_may_be_a_transaction_say_so() -> None:
    size = Size(80, 24)
    check_screen("sign-hex", screen_of(approval(signing(b"\xff" * 32, reading="hex"), size).page(0, size), size))


@given(TEXTS, st.sampled_from([Size(80, 24), Size(60, 24), Size(40, 16)]))
def test_no_message_draws_a_row_that_begins_like_one_of_ours(text: str, size: Size) -> None:
    """All rows outside the margin are those of an innocent message, but for numbers."""
    message = text.encode("utf-8", "replace")
    evil, plain = (approval(signing(one), size) for one in (message, b"x"))

    def ours(question: Question) -> list[str]:
        emulator = Emulator(size.columns, size.rows)
        for number in range(question.pages(size)):
            emulator.show(question.page(number, size))
        rows = emulator.all_rows()
        rows = [row for row in rows if not row.startswith(MARGIN.rstrip())]
        return ["".join(c for c in row if not c.isdigit() and c not in "abcdef") for row in rows]

    allowed = set(ours(plain)) | {"  th sm, spll out:"}
    for row in ours(evil):
        assert row in allowed or row.startswith(("-- ", "  txt,", "[y]", "[m]", "    ")), row


def test_a_choice_lists_names_trust_and_fingerprints() -> None:
    size = Size(80, 24)
    question = choice([person(name, 2) for name in NAMES], 2, size)
    check_screen("choice", screen_of(question.page(0, size), size))


def test_the_end_of_a_session_says_who_failed() -> None:
    error = status.ErrorView("participant_silent", "carol does not answer", 6, "peer", culprits=("carol",))
    board = Board()
    for event in (keygen("alice", "bob", "carol"), status.Progress(SESSION, "sharing", ("carol",))):
        board.take(event)
    view = board.take(ended(error))
    assert view is not None
    check_screen("keygen-failed", screen_of(session_rows(view, Size()), Size()))
