"""Run benchmarks and print their tables: ``python -m tests.bench [NAME...] [--quick]``."""

import argparse
import asyncio
import importlib
import sys

from tests.bench.report import Table, conditions

NAMES = ("keygen", "mesh", "start", "wallet", "sign", "server", "slots", "introduce", "soak")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Benchmarks of mpcnode.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="fewer runs: see whether it works, trust no figure")
    asked = parser.parse_args()
    print(conditions())
    missed = False
    for name in asked.names or NAMES:
        tables: list[Table] = asyncio.run(importlib.import_module(f"tests.bench.{name}").tables(quick=asked.quick))
        for table in tables:
            print("", *table.lines(), sep="\n", flush=True)
            missed = missed or not all(target.met for target in table.targets)
    if missed:
        print("a target was missed; is this machine busy with something else?", file=sys.stderr)


if __name__ == "__main__":
    main()
