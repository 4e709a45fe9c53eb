"""Runs every benchmark in this folder, one after the other: ``python -m benchmarks [NAME ...]``.

A benchmark is a module with ``main() -> int``; what it prints is its table, and what it writes goes to docs/.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks


def main(words: list[str]) -> int:
    """Run the named benchmarks, or all; the highest exit code is the answer."""
    known = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")]
    unknown = sorted(set(words) - set(known))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    codes = []
    for name in words or known:
        module = importlib.import_module(f"benchmarks.{name}")
        if hasattr(module, "main"):
            print(f"== {name}", flush=True)
            codes.append(int(module.main() or 0))
    return max(codes, default=0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
