"""Everything that `nightshelf doctor` looks at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pydantic import ValidationError

from db.doctor import database, device, storage, versions
from db.doctor.finding import Finding, Verdict
from db.settings import Settings

# Importing PyTorch from a cold disk takes most of it.
_DEVICE_CHECK_S = 120.0


def examine(config: Settings) -> list[Finding]:
    """What was found around this process, area by area; nothing is changed by looking."""
    found = [*storage.examine(config), *database.examine(config)]
    if storage.socket_fits(config):
        # The Celery application needs an address, even to be imported.
        from db.doctor import broker

        found += broker.examine(config)
    return [*found, *devices(config), *versions.examine()]


def devices(config: Settings) -> list[Finding]:
    """What a worker finds out about this machine's devices and codecs, in a process of its own."""
    command = [sys.executable, "-m", "worker.device_check"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEVICE_CHECK_S,
            check=True,
        )
        report = device.DeviceReport.model_validate_json(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, IndexError, ValidationError) as error:
        value = f"the look at it ended with {type(error).__name__}"
        return [Finding("device", value, Verdict.BAD, f"see why: {' '.join(command)}")]
    return device.findings(report, config.devices)
