"""What Ultralytics has to be told before it is imported: it reads its surroundings once."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path


def ultralytics_environment(home: Path) -> dict[str, str]:
    """The environment variables under which Ultralytics keeps to itself and uses the machine well.

    To be set before `ultralytics` or `torch` is imported, at best for a new process:

    - `YOLO_OFFLINE`: no look-up of hosts at import, no telemetry or crash reports, no download of
      weights or fonts;
    - `YOLO_AUTOINSTALL`: never installs a package that a file or an option asks for;
    - `YOLO_VERBOSE`: errors only;
    - `YOLO_CONFIG_DIR`: its settings lie under `home`, not in the user's own folder;
    - `ULTRALYTICS_SAFE_LOAD`: whatever opens a checkpoint builds only known model classes. Our own
      loading (`worker.checkpoint`) asks for that itself; this covers the rest of Ultralytics;
    - `OMP_NUM_THREADS`: as many as there are processors for this process, where Ultralytics
      would take one;
    - `OMP_WAIT_POLICY`: threads that wait for work sleep. Spinning, they take the processors from
      the thread that decodes, and on a busy machine inference takes many times as long.

    The two last are kept as they are where they are set already.

    Args:
        home: the folder of everything that is not a row.
    """
    threads = len(os.sched_getaffinity(0))
    return {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "YOLO_CONFIG_DIR": str(home / "ultralytics"),
        "ULTRALYTICS_SAFE_LOAD": "true",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }


def backend_name(device: str, half: bool = False) -> str:
    """How the detections' key names the Ultralytics backend: all of it that changes the numbers.

    Args:
        device: `cpu`, `cuda:0`; the ordinal of a device changes nothing.
        half: whether the model runs in half precision.
    """
    precision = "fp16" if half else "fp32"
    return f"ultralytics-{version('ultralytics')}-{device.partition(':')[0]}-{precision}"
