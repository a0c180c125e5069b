#!/usr/bin/env python3
"""Adds up JUnit files of ctest and pytest. Prints "N passed, N failed, N skipped" and names what failed or was skipped.

Usage: tests/summary.py CHECKS_PASSED CHECKS_FAILED FILE… (checks: the steps that are one test each).
"""

import pathlib
import sys
import xml.etree.ElementTree


def outcome(case):
    # ctest marks a skipped test with a status of its own, pytest with an element only.
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None or case.get("status") == "notrun" else "passed"


def main():
    counts = {"passed": int(sys.argv[1]), "failed": int(sys.argv[2]), "skipped": 0}
    for name in sys.argv[3:]:
        try:
            cases = list(xml.etree.ElementTree.parse(name).iter("testcase"))
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            print(f"failed: no results in {name} ({error})")
            counts["failed"] += 1
            continue
        for case in cases:
            result = outcome(case)
            counts[result] += 1
            if result != "passed":
                print(f"{result}: {pathlib.Path(name).stem}: {case.get('name')}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
