"""Checks the structure of the repository and prints file:line: finding.

    /usr/bin/python3 tests/tidy [--build DIR] [RULE ...]
    /usr/bin/python3 tests/tidy --list      each rule and the first line of its reason
    /usr/bin/python3 tests/tidy --rst       the rules and their reasons, for the documentation
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import engine
import rules  # noqa: F401  registers the rules

ROOT = pathlib.Path(__file__).resolve().parents[2]


def as_rst() -> str:
    """The rules as a definition list."""
    parts = []
    for name, rule in sorted(engine.RULES.items()):
        body = "\n".join(f"   {line}".rstrip() for line in rule.reason.splitlines())
        parts.append(f"``{name}``\n{body}\n")
    return "\n".join(parts)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rule", nargs="*", help="rules to run; all by default")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the tree to look at")
    parser.add_argument("--build", type=pathlib.Path, help="a build whose library is looked at")
    parser.add_argument("--list", action="store_true", help="list the rules")
    parser.add_argument("--rst", action="store_true", help="print the rules and their reasons")
    given = parser.parse_args()
    unknown = [name for name in given.rule if name not in engine.RULES]
    if unknown:
        parser.error(f"no such rule: {', '.join(unknown)}")
    if given.list:
        for name, rule in sorted(engine.RULES.items()):
            print(f"{name:24}{rule.reason.splitlines()[0]}")
        return 0
    if given.rst:
        print(as_rst(), end="")
        return 0
    findings = engine.run(engine.Tree(given.root.resolve(), given.build), given.rule or None)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
