"""How long a session waits for what, in seconds; every wait has one of these."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimeouts:
    """Deadlines of one session; a scenario shortens them, a slow human does not reach them.

    Args:
        introduce: for the hello of everybody who is to be proposed to.
        negotiate: for everybody's answer; the proposal expires then.
        round: for one round's messages from everybody.
        confirm: for a user to compare the safety words; the others wait that much longer.
        evidence: how long to go on listening after somebody stopped, to see for oneself who lied.
        leave: for the acknowledgement of the last words.
    """

    introduce: float = 15.0
    negotiate: float = 120.0
    round: float = 60.0
    confirm: float = 120.0
    evidence: float = 2.0
    leave: float = 10.0
