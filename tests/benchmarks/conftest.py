"""The table of ratios: collected while the benchmarks run, printed last, written on request."""

import json
import os
import platform
from pathlib import Path

import pytest
import torch

ROWS = []


@pytest.fixture
def table(benchmark):
    """Add a row: quantity, measured, must, goal; a missed must fails the test when it has ended."""
    missed = []

    def add(quantity, measured, must=None, goal=None, at_least=False):
        ROWS.append({"quantity": quantity, "measured": measured, "must": must, "goal": goal})
        benchmark.extra_info[quantity] = measured
        if must is not None:
            kept = measured >= must if at_least else measured <= must
            if not kept:
                missed.append(
                    f"{quantity}: {measured:.2f}, must be {'≥≤'[not at_least]} {must:.2f}"
                )

    yield add
    assert not missed, "; ".join(missed)


def processor():
    info = Path("/proc/cpuinfo")
    names = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in names if line.startswith("model name")]
    return names[0] if names else platform.processor()


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    write = terminalreporter.write_line
    terminalreporter.section("ratios within this run")
    for row in ROWS:
        limits = ", ".join(f"{k} {row[k]:g}" for k in ("must", "goal") if row[k] is not None)
        write(f"{row['quantity']:74} {row['measured']:6.2f}   {limits}")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    about = {"torch": torch.__version__, "python": platform.python_version(), "device": device}
    write(str(about | {"cores": os.cpu_count()}))
    if path := os.environ.get("COMPANION_BENCH_JSON"):
        Path(path).write_text(json.dumps({"about": about, "rows": ROWS}, indent=1) + "\n")
