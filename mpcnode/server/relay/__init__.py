"""The signaling hub: a pure machine, and its adapter to WebSocket connections."""
