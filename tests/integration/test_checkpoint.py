from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from db.errors import ModelError
from db.files import sha256_of
from worker.checkpoint import inspect, load, verify
from worker.ultralytics_env import ultralytics_environment

TINY_YOLOV8 = {
    "nc": 3,
    "backbone": [
        [-1, 1, "Conv", [8, 3, 2]],
        [-1, 1, "Conv", [8, 3, 2]],
        [-1, 1, "C2f", [8, True]],
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "SPPF", [16, 5]],
    ],
    "head": [[-1, 1, "C2f", [16]], [[2, 5], 1, "Detect", ["nc"]]],
}


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ultralytics_environment(tmp_path_factory.mktemp("home")).items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint as Ultralytics does."""

    def write(module: Any, **more: Any) -> Path:
        path = tmp_path / "weights.pt"
        torch.save({"epoch": -1, "model": module, "ema": None, "train_args": {}} | more, path)
        return path

    return write


def model(name: str = "DetectionModel", cfg: Any = TINY_YOLOV8, **more: Any) -> Any:
    from ultralytics.nn import tasks

    return getattr(tasks, name)(cfg, verbose=False, **more)


class Armed:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_yolov8_of_any_width_says_what_it_is(save):
    made = model()
    path = save(made.half())
    checkpoint = inspect(path)
    assert checkpoint.task == "detect"
    assert checkpoint.class_names == ("0", "1", "2")
    assert checkpoint.parameters == sum(p.numel() for p in made.parameters())
    assert checkpoint.size_bytes == path.stat().st_size
    assert checkpoint.sha256 == sha256_of(path)


def test_an_architecture_is_known_by_the_name_of_its_description(save):
    assert inspect(save(model(cfg="yolov8n.yaml"))).architecture == "yolov8n"


def test_a_yolov8_without_the_name_of_a_description_is_just_that(save):
    assert inspect(save(model())).architecture == "yolov8"


def test_class_names_are_in_the_order_of_their_ids(save):
    made = model()
    made.names = {2: "pear", 0: "apple", 1: "banana"}
    assert inspect(save(made)).class_names == ("apple", "banana", "pear")


def test_the_averaged_weights_of_an_unfinished_training_are_preferred(save):
    averaged = model()
    averaged.names = {0: "a", 1: "b", 2: "c"}
    assert inspect(save(model(), ema=averaged)).class_names == ("a", "b", "c")


def test_a_loaded_model_is_in_single_precision_and_ready_to_predict(save):
    loaded = load(save(model().half()))
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert not loaded.training


@pytest.mark.parametrize("name", ["o'brien.pt", "yolov5n.pt", "weights.pth", "weights"])
def test_a_file_may_have_any_name(save, tmp_path, name):
    path = save(model()).rename(tmp_path / name)
    assert inspect(path).task == "detect"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        inspect(tmp_path / "none.pt")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is not a file"):
        inspect(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"just some text\n", pickle.dumps({"model": 1}), b"\x08\x08\x12\x07pytorch\x1a\x052.1.0"],
    ids=["empty", "text", "pickle", "onnx"],
)
def test_what_is_no_pytorch_archive_is_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="no PyTorch checkpoint"):
        inspect(path)


def test_a_pickle_of_another_protocol_that_would_run_code_does_not_run_it(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"model": Armed(tmp_path / "owned")}, path, pickle_protocol=4)
    with pytest.raises(ModelError, match="damaged, or was not written by Ultralytics"):
        inspect(path)
    assert not (tmp_path / "owned").exists()


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with pytest.raises(ModelError, match="zip file, but no PyTorch checkpoint"):
        inspect(path)


def test_a_checkpoint_that_is_cut_off_is_refused(save):
    path = save(model())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cut off"):
        inspect(path)


def test_a_checkpoint_whose_pickle_is_garbled_is_refused(save):
    path = save(model())
    content = path.read_bytes()
    start = content.index(b"ultralytics.nn.tasks")
    path.write_bytes(content[:start] + bytes(64) + content[start + 64 :])
    with pytest.raises(ModelError, match="damaged"):
        inspect(path)


def test_a_bare_pickle_that_would_run_code_does_not_run_it(tmp_path):
    armed = pickle.dumps(Armed(tmp_path / "owned"))
    path = tmp_path / "weights.pt"
    path.write_bytes(armed)
    with pytest.raises(ModelError, match="no PyTorch checkpoint"):
        inspect(path)
    assert not (tmp_path / "owned").exists()
    pickle.loads(armed)
    assert (tmp_path / "owned").exists()  # it would have


@pytest.mark.parametrize("where", ["model", "train_args", "anything"])
def test_a_checkpoint_that_would_run_code_does_not_run_it(save, tmp_path, where):
    path = save(model(), **{where: Armed(tmp_path / "owned")})
    with pytest.raises(ModelError, match=r"was not loaded: .*mkdir"):
        inspect(path)
    assert not (tmp_path / "owned").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "owned").exists()  # it would have


@pytest.mark.parametrize(
    "content",
    [{"a": torch.zeros(3)}, {"model": {"conv.weight": torch.zeros(3)}}, torch.zeros(3)],
    ids=["tensors", "weights without a model", "a tensor"],
)
def test_a_pytorch_file_without_an_ultralytics_model_is_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    with pytest.raises(ModelError, match="no Ultralytics model"):
        inspect(path)


def test_a_model_of_other_code_is_refused(save):
    with pytest.raises(ModelError, match="no Ultralytics model"):
        inspect(save(torch.nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("name", "cfg", "task"),
    [
        ("SegmentationModel", "yolov8n-seg.yaml", "segment"),
        ("ClassificationModel", "yolov8n-cls.yaml", "classify"),
        ("PoseModel", "yolov8n-pose.yaml", "pose"),
        ("OBBModel", "yolov8n-obb.yaml", "obb"),
    ],
)
def test_a_yolo_for_another_task_is_refused(save, name, cfg, task):
    with pytest.raises(ModelError, match=f"model for {task};"):
        inspect(save(model(name, cfg)))


@pytest.mark.parametrize(
    "cfg",
    ["yolov3-tiny", "yolov5n", "yolov6n", "yolov9t", "yolov10n", "yolo11n", "yolo12n", "yolo26n"],
)
def test_another_generation_of_yolo_is_refused(save, cfg):
    with pytest.raises(ModelError, match=f"is {cfg}, which is no YOLOv8"):
        inspect(save(model(cfg=f"{cfg}.yaml")))


def test_a_model_for_grey_images_is_refused(save):
    with pytest.raises(ModelError, match="images of 1 channels"):
        inspect(save(model(ch=1, cfg=TINY_YOLOV8 | {"channels": 1})))


def test_two_classes_of_one_name_are_refused(save):
    made = model()
    made.names = {0: "apple", 1: "banana", 2: "apple"}
    with pytest.raises(ModelError, match="calls both class 0 and class 2 apple"):
        inspect(save(made))


@pytest.mark.parametrize("names", [{1: "a", 2: "b", 3: "c"}, {0: "a", 1: "b"}, ["a", "b"], None])
def test_class_names_that_do_not_fit_the_model_are_refused(save, names):
    made = model()
    made.names = names
    with pytest.raises(ModelError, match="name its classes"):
        inspect(save(made))


def test_a_torchscript_export_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", b"")
        archive.writestr("weights/code/__torch__.py", b"")
    with pytest.raises(ModelError, match="TorchScript"):
        inspect(path)


def test_an_unchanged_file_is_verified(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"abc")
    verify(path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


def test_a_changed_file_is_told_from_the_registered_one(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"abd")
    with pytest.raises(ModelError, match="has changed"):
        verify(path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


def test_a_registered_file_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="is gone"):
        verify(tmp_path / "weights.pt", "a" * 64)


def test_the_progress_of_hashing_ends_at_the_size_of_the_file(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(bytes(3 * 2**20 + 5))
    seen: list[int] = []
    sha256_of(path, seen.append)
    assert seen == [2**20, 2 * 2**20, 3 * 2**20, 3 * 2**20 + 5]


def test_ultralytics_keeps_to_itself_in_its_environment(tmp_path):
    code = """
import torch, ultralytics.utils as u
from ultralytics.utils.events import Events
print(u.SAFE_LOAD, u.ONLINE, u.AUTOINSTALL, u.VERBOSE, Events().enabled, torch.get_num_threads())
"""
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "user")}
    surroundings |= ultralytics_environment(tmp_path / "home") | {"OMP_NUM_THREADS": "2"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True
    )
    assert (said.stdout, said.stderr) == ("True False False False False 2\n", "")
    assert not (tmp_path / "user").exists()
