"""The live table, drawn into a string."""

import io

from rich.console import Console

from mpcnode import status
from mpcnode.cli.terminal.render import Live, table
from mpcnode.cli.terminal.view import SessionView
from tests.helpers.statuses import SESSION, ended, proposed


def draw(view: SessionView, *, ascii_only: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=110, no_color=True).print(table(view, ascii_only=ascii_only))
    return out.getvalue()


def test_the_table_shows_who_is_there_and_for_whom_it_waits() -> None:
    drawn = draw(SessionView(proposed("cli1", "cli2"), phase="sharing", waiting_for=frozenset({"cli2"})))
    assert "wallet treasury: 2 of 2" in drawn
    assert "cli1 (this node)" in drawn
    assert "cli2 (unverified)" in drawn
    assert "sharing: waiting for cli2" in drawn
    assert "…" in drawn


def test_marks_can_be_told_apart_without_colour_and_without_unicode() -> None:
    drawn = draw(
        SessionView(proposed("cli1", "cli2"), phase="sharing", waiting_for=frozenset({"cli2"})), ascii_only=True
    )
    assert drawn.isascii()
    assert "+" in drawn


def test_markup_and_control_characters_of_a_peer_stay_text() -> None:
    drawn = draw(SessionView(proposed("[red]x[/red]", "\x1b[2Jy", wallet="[bold]w")))
    assert "[red]x[/red]" in drawn
    assert "[bold]w" in drawn
    assert "\x1b" not in drawn


def test_the_live_view_puts_sentences_above_and_ends_with_the_session() -> None:
    out = io.StringIO()
    with Live(Console(file=out, width=110, force_terminal=True, no_color=True)) as live:
        live.event(status.Warned("first"))
        live.event(proposed("cli1", "cli2"))
        live.event(status.Progress(SESSION, "sharing", ("cli2",)))
        live.event(ended())
    text = out.getvalue()
    assert "warning: first" in text
    assert "cli1 proposes the wallet treasury, 2 of 2" in text
    assert "done in 1.5 s" in text


def test_what_happens_during_a_question_is_drawn_after_it() -> None:
    out = io.StringIO()
    with Live(Console(file=out, width=110, force_terminal=True, no_color=True)) as live:
        live.event(proposed("cli1", "cli2"))
        with live.paused():
            before = out.getvalue()
            live.event(status.Warned("meanwhile"))
            assert out.getvalue() == before
        assert "meanwhile" in out.getvalue()
