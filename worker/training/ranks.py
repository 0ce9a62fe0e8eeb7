"""The processes of a training on several devices, which Ultralytics starts by torchrun."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import psutil
from ultralytics.utils.dist import ddp_cleanup, generate_ddp_command

from db.errors import NightshelfError, PermanentError
from db.processes import bound_to_me
from worker.context import Context
from worker.training.events import JOURNAL, Journal
from worker.training.following import Following

if TYPE_CHECKING:
    from worker.training.trainer import Trainer

_LOOK_EVERY_S = 0.2
_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """Have the kernel end this process with the one that started it.

    torchrun puts each into a session of its own, where what ends the runner's does not reach it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def train_on_several(trainer: Trainer, following: Following, context: Context) -> None:
    """Have a process for each device train, and follow what they tell.

    Raises:
        PermanentError: one of them says that trying again is of no use.
        NightshelfError: one of them failed.
        Stopped: the job was told to stop.
    """
    command, script = generate_ddp_command(trainer)
    journal = Journal(trainer.save_dir / JOURNAL)
    process = subprocess.Popen(bound_to_me(command, signal.SIGKILL), stdin=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            for event in journal.news():
                following.take(event)
            context.checkpoint()
            time.sleep(_LOOK_EVERY_S)
        for event in journal.news():
            following.take(event)
    finally:
        _kill(process)
        ddp_cleanup(trainer, script)
    if failure := following.failure:
        raise (PermanentError if failure.permanent else NightshelfError)(failure.error)
    if process.returncode:
        raise NightshelfError(f"the training's processes ended with status {process.returncode}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process with everything it started; harmless if it is gone."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
