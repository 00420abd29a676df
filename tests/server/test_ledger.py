"""Whose bytes wait for one receiver, and how much place each sender has among them."""

from mpcnode.server.ledger import Ledger


def test_one_sender_takes_half_and_the_next_always_finds_place() -> None:
    ledger = Ledger(1000)
    waiting = 0
    for _ in range(5):
        assert ledger.take("eve", 100, waiting)
        waiting += 100
    assert not ledger.take("eve", 100, waiting)
    for name in ("ana", "ben"):
        assert ledger.take(name, 100, waiting)
        waiting += 100


def test_what_has_left_is_nobodys_any_more() -> None:
    ledger = Ledger(1000)
    for waiting in range(0, 500, 100):
        assert ledger.take("eve", 100, waiting)
    assert not ledger.take("eve", 100, 500)
    assert ledger.take("eve", 100, 250)  # the socket took more than half
    assert ledger.take("eve", 900, 0)
    assert not ledger.take("eve", 1, 900)
    assert len(ledger.shares) == 1


def test_a_message_that_fits_an_empty_outbox_is_taken_whoever_sends_it() -> None:
    ledger = Ledger(1000)
    assert ledger.take("ana", 1000, 0)
    assert not ledger.take("ben", 1, 1000)
    assert not Ledger(1000).take("ana", 1001, 0)


def test_bytes_of_the_server_itself_take_place_and_are_nobodys() -> None:
    ledger = Ledger(1000)
    assert ledger.take("ana", 100, 600)
    assert not ledger.take("ana", 300, 700)
    assert ledger.take("ben", 300, 700)
