"""``doctor``: versions, device, memory, and what is missing for which method."""

from __future__ import annotations

import argparse
from typing import Any

from tabulate import tabulate

from harness.commands.options import default_cache


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("doctor", help="what this machine has, and what is missing")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print the findings; 1 where a method cannot run."""
    from harness import environment
    from harness.registry import all_methods

    memory = environment.available_memory_bytes()
    machine = environment.machine()
    rows = [
        ("python", machine["python"]),
        ("processor", f"{machine['processor']}, {machine['cores']} cores usable"),
        ("free memory", "unknown" if memory is None else f"{memory / 2**30:.1f} GiB"),
        ("device", _device()),
        *((name, version or "absent") for name, version in environment.package_versions().items()),
    ]
    print(tabulate(rows, tablefmt="plain", disable_numparse=True))
    print()
    missing = {
        entry.name: environment.missing_packages(entry.method.card.requires)
        for entry in all_methods()
    }
    verdicts = [
        (name, f"missing: {', '.join(packages)}" if packages else "ready")
        for name, packages in missing.items()
    ]
    print(tabulate(verdicts, ["method", "state"]))
    print()
    print(tabulate(_data_sets(), ["data set", "state"], maxcolwidths=[None, 100]))
    return 1 if any(missing.values()) else 0


def _data_sets() -> list[tuple[str, str]]:
    from harness.data.cards import card_names, load_card
    from harness.data.sources import why_absent

    cache = default_cache()
    return [(name, why_absent(load_card(name), cache) or "found") for name in card_names()]


def _device() -> str:
    from harness import environment

    devices = environment.cuda_devices()
    if not devices:
        return "cpu (the driver offers no CUDA device)"
    if not environment.torch_has_cuda():
        return f"cpu ({devices} CUDA devices, but the installed torch is a CPU build)"
    return f"cuda ({devices} devices)"
