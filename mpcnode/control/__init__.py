"""The running node's local socket: the same commands and events as the command line.

One connection carries one command. The client sends a command; the node answers with the events that ``--json``
prints, with questions that the user at the client answers, and at the end with a result or an error. A client that
goes away cancels its command.

Whether a node runs is decided by the lock on its home, never by the socket: one that a dead node left is replaced.

``lines`` is the format, ``place`` is where the socket is and which users may connect to it, ``server`` is the node's
end and ``client`` the command's; a command that finds a running node loads nothing of what only a node needs.
"""
