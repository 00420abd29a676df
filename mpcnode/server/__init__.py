"""The server beside the nodes: one listener, and a room for each protocol behind it."""
