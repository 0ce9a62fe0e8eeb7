"""Open a YOLOv8 checkpoint without running what may be hidden in it."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from db.common_classes import repeated_name
from db.errors import ModelError
from db.files import sha256_of

# An `ultralytics.nn.tasks.DetectionModel`: a module whose attributes its own types do not know.
DetectionModel = Any


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint is.

    Attributes:
        task: what it was trained for; always `detect`.
        class_names: name of each class; the index is the class id.
        parameters: number of weights, before any fusing of layers.
        architecture: name of the description it was built from, such as `yolov8n`; `yolov8` if that
            has none.
        size_bytes: of the file.
        sha256: of the file.
    """

    task: str
    class_names: tuple[str, ...]
    parameters: int
    architecture: str
    size_bytes: int
    sha256: str


def inspect(path: Path) -> Checkpoint:
    """Say what a checkpoint is.

    Raises:
        ModelError: it is no YOLOv8 detection checkpoint, the message says what it is instead; or
            two of its classes have the same name, and what it sees could not be told apart.
    """
    model = load(path)
    class_names = tuple(model.names.values())
    if twins := repeated_name(class_names):
        first, second = twins
        raise ModelError(
            f"{path} calls both class {first} and class {second} {class_names[first]}: give each "
            "class a name of its own, and add it again"
        )
    return Checkpoint(
        task="detect",
        class_names=class_names,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        architecture=_architecture(model) or "yolov8",
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )


def verify(path: Path, sha256: str) -> None:
    """Make sure that a registered file is still the one that was registered.

    Raises:
        ModelError: the file is gone, or its content has changed.
    """
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        raise ModelError(f"{path} is gone; register the model again") from None
    if found != sha256:
        raise ModelError(
            f"{path} has changed since it was registered (sha256 {found[:12]}…, not "
            f"{sha256[:12]}…); add the original again"
        )


def keep(copy: Path, target: Path) -> None:
    """Move a file to the place of a registered model, whole and on the disk."""
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    copy.chmod(0o444)  # nothing writes to it again: its name is its content
    target.parent.mkdir(parents=True, exist_ok=True)
    copy.replace(target)


def load(path: Path) -> DetectionModel:
    """The model of a YOLOv8 detection checkpoint: float32, in evaluation mode, not fused.

    A checkpoint is a pickle, and a pickle may call anything while it is read. Ultralytics' safe
    loading reads it with PyTorch's restricted unpickler, which knows tensors, plain containers and
    a list of model classes (torch.nn's and Ultralytics' own), and refuses any other name before it
    is looked up. It does not bound memory: that is for the limits of the process.

    Raises:
        ModelError: it is no YOLOv8 detection checkpoint; the message says what it is instead.
    """
    _refuse_what_is_no_archive(path)
    model = _model_in(_read(path), path)
    _refuse_what_is_no_yolov8(model, path)
    _number_class_names(model, path)
    return model.float().eval()


def _refuse_what_is_no_archive(path: Path) -> None:
    if not path.exists():
        raise ModelError(f"no such file: {path}")
    if not path.is_file():
        raise ModelError(f"{path} is not a file")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise ModelError(
            f"{path} is no PyTorch checkpoint, or is cut off; give the .pt file that training "
            "wrote, not an export of it (ONNX and the like)"
        ) from None
    if not any(name.endswith("/data.pkl") for name in names):
        raise ModelError(f"{path} is a zip file, but no PyTorch checkpoint")
    if any("/code/" in name for name in names):
        raise ModelError(f"{path} is a TorchScript export; give the .pt file it was made from")


def _read(path: Path) -> dict[str, Any]:
    from ultralytics.nn.tasks import torch_safe_load

    with TemporaryDirectory() as folder:
        # Ultralytics takes names apart: it drops apostrophes, renames what looks like YOLOv5,
        # insists on .pt, and searches the network for what it then does not find.
        alias = Path(folder) / "weights.pt"
        alias.symlink_to(path.resolve())
        try:
            checkpoint: dict[str, Any]
            checkpoint, _ = torch_safe_load(alias, safe_only=True)  # type: ignore[no-untyped-call]
        except (OSError, MemoryError):
            raise
        except AttributeError:  # neither a dict nor a model
            return {}
        except Exception as error:  # a bent pickle can fail in any way
            if foreign := _foreign_names(alias):
                raise ModelError(
                    f"{path} was not loaded: it calls for code that is no part of a YOLOv8 "
                    f"checkpoint ({', '.join(foreign[:3])})"
                ) from error
            raise ModelError(
                f"{path} is damaged, or was not written by Ultralytics; copy it again"
            ) from error
    return checkpoint


def _foreign_names(path: Path) -> list[str]:
    """The names that loading this file stumbled over, without looking any of them up."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        # Those that are allowed have been registered by the attempt to load it.
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception:  # the same bent pickle
        return []


def _model_in(checkpoint: dict[str, Any], path: Path) -> DetectionModel:
    from ultralytics.nn.tasks import BaseModel

    # A training that was cut short keeps its averaged weights, which are the better ones, apart.
    model = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(model, BaseModel):
        raise ModelError(f"{path} is a PyTorch checkpoint, but holds no Ultralytics model")
    return model


def _refuse_what_is_no_yolov8(model: DetectionModel, path: Path) -> None:
    """Judge by the layers that are there: names and descriptions are the user's to choose.

    `C2f` sets YOLOv8 apart from the others with its plain `Detect` head: YOLOv5u and v3u have
    `C3` or bottlenecks, v6 plain convolutions, v9 `RepNCSPELAN4`, 11 and later `C3k2`; v10, which
    has `C2f`, has a head of its own.
    """
    from ultralytics.nn.modules import C2f, Detect
    from ultralytics.nn.tasks import guess_model_task

    task = guess_model_task(model)  # type: ignore[no-untyped-call]
    if task != "detect":
        raise ModelError(f"{path} is a YOLO model for {task}; only those for detect can be used")
    layers = [type(layer) for layer in model.model]
    if C2f not in layers or layers[-1] is not Detect or model.end2end:
        name = _architecture(model) or "a model without a name"
        raise ModelError(f"{path} is {name}, which is no YOLOv8 model")
    if model.yaml.get("channels", 3) != 3:
        raise ModelError(
            f"{path} takes images of {model.yaml['channels']} channels; only those of 3 can be used"
        )


def _number_class_names(model: DetectionModel, path: Path) -> None:
    names = model.names
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or sorted(names) != list(range(model.model[-1].nc)):
        raise ModelError(f"{path} does not name its classes from 0 on, one for each")
    model.names = {number: str(names[number]) for number in sorted(names)}


def _architecture(model: DetectionModel) -> str:
    """The name of the file that describes the layers; empty if there was none."""
    return Path(str(model.yaml.get("yaml_file", ""))).stem
