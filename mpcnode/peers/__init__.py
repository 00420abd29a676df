"""Whom this node talks to: the room, sealed conversations, and how well each peer is known."""
