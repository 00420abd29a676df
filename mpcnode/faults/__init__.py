"""One lying, dying or disk-full node: a process for scenarios and tests. Only its own ``__main__`` imports it."""
