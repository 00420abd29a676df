"""The client of a signaling server."""
