from mpcnode.mesh.topology import LinkMap
from tests.helpers.meshes import names

ONE, TWO, THREE = names(3)


def test_a_link_is_up_when_both_ends_say_so() -> None:
    links = LinkMap([THREE, ONE, TWO])
    assert links.claim(ONE, TWO)
    assert not links.view.linked(ONE, TWO)
    assert links.claim(TWO, ONE)
    assert links.view.linked(TWO, ONE)
    assert links.view.broken == ((ONE, THREE), (TWO, THREE))


def test_ready_says_it_of_all_links_at_once() -> None:
    links = LinkMap([ONE, TWO, THREE])
    for node in (ONE, TWO):
        assert links.mark_ready(node)
        assert links.is_ready(node)
    assert links.view.linked(ONE, TWO)
    before = links.view
    assert links.mark_ready(THREE)
    assert (before.complete, links.view.complete) == (False, True)
    assert links.view.broken == ()


def test_ready_is_said_once() -> None:
    links = LinkMap([ONE, TWO])
    assert links.mark_ready(ONE)
    assert not links.mark_ready(ONE)


def test_a_link_that_cannot_be_is_refused() -> None:
    links = LinkMap([ONE, TWO])
    assert not links.claim(ONE, ONE)
    assert not links.claim(ONE, THREE)


def test_a_lost_link_is_broken() -> None:
    links = LinkMap([ONE, TWO])
    links.mark_ready(ONE)
    links.mark_ready(TWO)
    links.withdraw(ONE, TWO)
    links.withdraw(ONE, TWO)
    assert links.view.broken == ((ONE, TWO),)
