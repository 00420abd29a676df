"""One session: negotiated, meshed, executed, stored."""
