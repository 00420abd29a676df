"""Benchmarks: ``make bench``, or ``python -m tests.bench NAME... [--quick]`` for some of them."""
