"""Run seeds: ``python -m tests.simulation KIND FIRST [LAST] [--trace]``; what fails is printed, one seed a line."""

import argparse
import gc
import json
import os
import sys
import time
from collections import Counter


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation")
    parser.add_argument("kind")
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int, nargs="?", help="the first seed that is not run any more")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--json", action="store_true", help="print one object a seed")
    parser.add_argument("--lies", help="these lies, in place of the seed's own")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets have an order of their own in each process; with it a seed would not be the same run twice.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606 (this program)
    from tests.simulation.runs import KINDS

    # What is made in a run and refers to itself is cleared away now and then, and never what was there before.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    options = {} if given.lies is None else {"plan": tuple(filter(None, given.lies.split(",")))}
    kinds: Counter[str] = Counter()
    failed = 0
    began = time.process_time()
    seeds = range(given.first, given.last or given.first + 1)
    for seed in seeds:
        cost = time.process_time()
        result = KINDS[given.kind](given.kind, seed, traced=given.trace, **options)()
        cost = time.process_time() - cost
        if given.trace:
            print("\n".join(result.trace))
        if given.json:
            failures = [[failure.kind, failure.what] for failure in result.failures]
            row = [seed, result.setting, result.outcome, failures, round(cost, 3), round(result.seconds)]
            print(json.dumps([*row, result.liars, result.excluded]))
        elif result.failures or given.trace:
            print(f"seed {seed}: {result.setting}: {result.outcome} ({cost * 1000:.0f} ms, {result.seconds:.0f} s)")
            for failure in result.failures:
                print(f"    {failure.kind}: {failure.what}")
        kinds.update({failure.kind for failure in result.failures})
        failed += bool(result.failures)
    if not given.json:
        spent = time.process_time() - began
        print(f"{failed} of {len(seeds)} seeds failed, in {spent:.1f} s of CPU: {dict(kinds)}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
