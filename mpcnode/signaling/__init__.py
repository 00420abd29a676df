"""The signaling server and its client."""
