"""A `train` job beside Ultralytics' own `train`, cut off, gone on with, and given bad input."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml

from db.dataset_files import find_dataset, sha256_of_dataset
from db.errors import DatasetError, ModelError, NightshelfError, PermanentError, Stopped
from db.files import sha256_of
from db.job_records import Progress
from db.layout import model_address
from db.specs import TrainSpec
from db.training_results import EpochFacts
from demo.dataset import Shoot
from demo.dataset import write_dataset as render_dataset
from tests.deployment import WEIGHTS
from tests.labelled import write_dataset
from tests.quiet import quiet_ultralytics
from worker.checkpoint import inspect
from worker.context import Context
from worker.jobs import train
from worker.wire import Resume

SMALL: dict[str, Any] = {"epochs": 3, "imgsz": 64, "batch": 4, "seed": 3}


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ultralytics to itself, and without the plots that every training draws in the end."""
    with quiet_ultralytics(tmp_path_factory.mktemp("home")), pytest.MonkeyPatch.context() as patch:
        from ultralytics.utils import DEFAULT_CFG

        patch.setattr(DEFAULT_CFG, "plots", False)
        yield


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few frames, whose products the demo's model knows."""
    shoots = (
        Shoot("train", first_seed=91_000, belts=1, shelves=1, frames=4),
        Shoot("val", first_seed=92_000, belts=1, shelves=1, frames=2),
    )
    return render_dataset(tmp_path_factory.mktemp("data") / "scenes", shoots)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures, of which an epoch takes a tenth of a second."""
    return write_dataset(tmp_path_factory.mktemp("data") / "noise", {"train": 8, "val": 4})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    kept = tmp_path / "home" / model_address(sha256_of(WEIGHTS))
    kept.parent.mkdir(parents=True)
    shutil.copyfile(WEIGHTS, kept)
    return tmp_path / "home"


def spec(data: Path, **options: Any) -> TrainSpec:
    base: dict[str, Any] = {"base": "products@1", "base_sha256": sha256_of(WEIGHTS)}
    if "architecture" in options:
        base = {"base": options["architecture"]}
    return TrainSpec(
        name="fruit",
        dataset="set",
        data=str(data),
        dataset_sha256=sha256_of_dataset(find_dataset(data), lambda done, total: None),
        **base | SMALL | options,
    )


class Attempt:
    """An attempt at a training, with those before it: what a worker would do with it."""

    def __init__(self, home: Path, before: Attempt | None = None, number: int = 1) -> None:
        self.number = before.number + 1 if before else number
        self.folder = home / f"attempt-{self.number}"
        self.folder.mkdir()
        self.epochs: list[EpochFacts] = list(before.epochs) if before else []
        self.files: dict[int, Path] = dict(before.files) if before else {}
        self.told: list[Progress] = []
        self.stop: Callable[[], bool] = lambda: False
        self.context = Context(
            home,
            self.folder,
            report=self.told.append,
            stop_wanted=lambda: self.stop(),
            resume=self._resume(),
            milestone=self._keep,
        )

    def _resume(self) -> Resume | None:
        if not self.epochs:
            return None
        best = [one for one in self.epochs if one.best][-1]
        last = self.epochs[-1]
        return Resume(
            epochs=tuple(self.epochs),
            last=str(self.files[last.epoch]),
            best=str(self.files[best.epoch]),
        )

    def _keep(self, facts: EpochFacts, name: str) -> None:
        self.epochs.append(facts)
        kept = self.folder.with_name(f"kept-{self.number}-{facts.epoch}.pt")
        self.files[facts.epoch] = (self.folder / name).rename(kept)


def ultralytics_train(data: Path, folder: Path, **arguments: Any) -> list[dict[str, Any]]:
    """What Ultralytics says of each epoch, on a copy: it writes beside the labels."""
    from ultralytics.models import YOLO

    copy = folder / "copy"
    shutil.copytree(data.parent, copy)
    content = yaml.safe_load(data.read_text()) | {"path": str(copy)}
    (copy / "data.yaml").write_text(yaml.safe_dump(content))
    seen: list[dict[str, Any]] = []

    def look(trainer: Any) -> None:
        if trainer.epoch < trainer.epochs:  # not the final validation
            seen.append(
                {
                    **{name: float(value) for name, value in trainer.tloss.items()},
                    **{name: float(value) for name, value in trainer.metrics.items()},
                    "learning_rates": tuple(trainer.lr.values()),
                }
            )

    model = YOLO(WEIGHTS)
    model.add_callback("on_fit_epoch_end", look)
    model.train(
        data=str(copy / "data.yaml"),
        device="cpu",
        workers=0,
        verbose=False,
        project=str(folder / "runs"),
        name="plain",
        **arguments,
    )
    return seen


def test_each_epoch_is_that_of_ultralytics_train(scenes: Path, home: Path, tmp_path: Path) -> None:
    arguments = {"epochs": 2, "imgsz": 160, "batch": 4, "seed": 5}
    before = set(scenes.parent.rglob("*"))
    attempt = Attempt(home)
    result = train.run(spec(scenes, **arguments, settings={"lr0": 0.001}), attempt.context)
    theirs = ultralytics_train(scenes, tmp_path, lr0=0.001, **arguments)
    assert [one.epoch for one in attempt.epochs] == [1, 2]
    assert attempt.epochs[-1].map50 > 0.1, "there is something to be compared"
    for ours, other in zip(attempt.epochs, theirs, strict=True):
        for loss in ("box_loss", "cls_loss", "dfl_loss"):
            assert getattr(ours, loss) == other[loss]
            assert getattr(ours, f"val_{loss}") == other[f"val/{loss}"]
        metrics = [ours.precision, ours.recall, ours.map50, ours.map50_95]
        names = ("precision(B)", "recall(B)", "mAP50(B)", "mAP50-95(B)")
        assert metrics == [other[f"metrics/{name}"] for name in names]
        assert ours.learning_rates == other["learning_rates"]
    plain = tmp_path / "runs" / "plain"
    trained = [inspect(path) for path in (attempt.folder / "best.pt", plain / "weights/best.pt")]
    assert trained[0].parameters == trained[1].parameters
    assert weights(attempt.folder / "best.pt") == weights(plain / "weights/best.pt")
    assert result.class_names == tuple(yaml.safe_load(scenes.read_text())["names"].values())
    assert set(scenes.parent.rglob("*")) == before, "nothing is written there"


def weights(path: Path) -> dict[str, list[float]]:
    from worker.checkpoint import load

    return {name: value.flatten().tolist() for name, value in load(path).state_dict().items()}


@pytest.mark.slow
def test_what_is_left_is_a_model_a_checkpoint_and_what_ultralytics_draws(
    noise: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.utils import DEFAULT_CFG

    monkeypatch.setattr(DEFAULT_CFG, "plots", True)
    attempt = Attempt(home)
    result = train.run(spec(noise, epochs=1), attempt.context)
    names = {file.name for file in result.files}
    assert names == {path.name for path in attempt.folder.iterdir()}
    drawn = {"results.png", "confusion_matrix.png", "BoxPR_curve.png", "labels.jpg"}
    assert names > drawn | {"best.pt", "last.pt", "results.csv", "args.yaml"}
    kept = home / model_address(result.model_sha256)
    assert sha256_of(kept) == result.model_sha256 == sha256_of(attempt.folder / "best.pt")
    assert sha256_of(attempt.folder / "last.pt") == sha256_of(attempt.files[1]), "nothing stripped"
    assert (attempt.folder / "last.pt").stat().st_size > 2 * kept.stat().st_size
    assert result.versions.keys() == {"nightshelf", "ultralytics", "torch", "python"}
    assert (result.device, result.batch, result.task) == ("cpu", 4, "detect")


def test_a_training_that_was_stopped_within_epoch_2_goes_on_with_epoch_2(
    noise: Path, home: Path
) -> None:
    first = Attempt(home)
    batches = itertools.count()
    first.stop = lambda: bool(first.epochs) and next(batches) == 1
    with pytest.raises(Stopped):
        train.run(spec(noise), first.context)
    assert [one.epoch for one in first.epochs] == [1]
    second = Attempt(home, first)
    train.run(spec(noise), second.context)
    assert [one.epoch for one in second.epochs] == [1, 2, 3]
    assert [one.final for one in second.epochs] == [False, False, True]
    curve = (second.folder / "results.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in curve] == ["epoch", "1", "2", "3"]
    whole = Attempt(home, second)
    again = train.run(spec(noise), whole.context)
    assert len(whole.epochs) == 3, "there was nothing left to train"
    assert again.model_sha256 == sha256_of(second.folder / "best.pt")
    assert sha256_of(whole.folder / "last.pt") == sha256_of(second.folder / "last.pt")


@pytest.mark.slow
def test_an_extension_goes_on_with_the_next_epoch_and_the_optimisers_state(
    noise: Path, home: Path
) -> None:
    first = Attempt(home)
    train.run(spec(noise, epochs=2), first.context)
    last = first.folder / "last.pt"
    before = torch.load(last, weights_only=False)
    extends = {
        "job_id": 1,
        "epochs": 2,
        "checkpoint": str(last.relative_to(home)),
        "sha256": sha256_of(last),
    }
    second = Attempt(home, number=2)
    result = train.run(spec(noise, epochs=4, extends=extends), second.context)
    assert [one.epoch for one in second.epochs] == [3, 4]
    after = torch.load(second.folder / "last.pt", weights_only=False)
    assert [one["epoch"] for one in (before, after)] == [1, 3]
    assert after["updates"] > before["updates"], "the average of the weights goes on"
    assert second.epochs[0].best, "the best of its own epochs is its model"
    assert result.model_sha256 != sha256_of(first.folder / "best.pt")
    (home / extends["checkpoint"]).write_bytes(b"other")
    with pytest.raises(ModelError, match="job 1 cannot be extended"):
        train.run(spec(noise, epochs=4, extends=extends), second.context)


@pytest.mark.slow
def test_an_architecture_is_trained_from_scratch(noise: Path, home: Path) -> None:
    attempt = Attempt(home)
    result = train.run(spec(noise, architecture="yolov8n.yaml", epochs=1), attempt.context)
    assert result.architecture == "yolov8n"
    assert result.parameters > 3_000_000
    assert result.class_names == ("apple", "banana", "orange")


@pytest.mark.slow
def test_patience_ends_a_training_that_does_not_get_better(scenes: Path, home: Path) -> None:
    attempt = Attempt(home)
    still = {"lr0": 0.0, "warmup_bias_lr": 0.0, "optimizer": "SGD", "momentum": 0.0}
    train.run(
        spec(scenes, epochs=50, imgsz=160, patience=1, settings=still),
        attempt.context,
    )
    assert attempt.epochs[-1].final
    assert len(attempt.epochs) < 50


def test_without_a_gpu_it_says_so_and_after_an_epoch_how_long_it_takes(
    noise: Path, home: Path
) -> None:
    attempt = Attempt(home)
    train.run(spec(noise, batch="auto"), attempt.context)
    notes = list(dict.fromkeys(one.note for one in attempt.told if one.unit == "batches"))
    assert notes[0] == (
        "epoch 1/3, there is no GPU: after an epoch it is known how long it takes; "
        "--batch auto is 16 then"
    )
    last = next(note for note in notes if str(note).startswith("epoch 3/3, box "))
    assert "left without a GPU" in str(last)
    assert str(notes[-1]).endswith("validating the best")
    assert attempt.told[-1].done == attempt.told[-1].total == 3, "of 8 images, 16 at once"


def break_loss(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[int, Any], Any]) -> None:
    """Have what the model's loss gives go through `spoil`, with the size of the batch."""
    from ultralytics.nn.tasks import DetectionModel

    whole = DetectionModel.loss

    def loss(self: Any, batch: Any, preds: Any = None) -> Any:
        found = whole(self, batch, preds)
        return spoil(len(batch["img"]), found) if self.training else found

    monkeypatch.setattr(DetectionModel, "loss", loss)


def out_of_memory(size: int, found: Any) -> Any:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_memory_that_does_not_suffice_is_said_with_what_to_try(
    noise: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_loss(monkeypatch, out_of_memory)
    attempt = Attempt(home)
    with pytest.raises(PermanentError, match="with --batch 4 --imgsz 64: try --batch 2, a smaller"):
        train.run(spec(noise), attempt.context)
    assert attempt.epochs == []
    assert len(list((home / "models").iterdir())) == 1, "nothing but its base"


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_automatic_batch_is_halved_once_and_no_epoch_is_trained_twice(
    noise: Path, home: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    attempt = Attempt(home)

    def spoil(size: int, found: Any) -> Any:
        late = len(attempt.epochs) >= epoch - 1
        return out_of_memory(size, found) if size > 4 and late else found

    monkeypatch.setattr("worker.training.training.BATCH_ON_CPU", 8)
    break_loss(monkeypatch, spoil)
    result = train.run(spec(noise, batch="auto"), attempt.context)
    assert result.batch == 4
    assert [one.epoch for one in attempt.epochs] == [1, 2, 3]
    assert str(attempt.told[-1].note).endswith(", --batch 4, since memory ran out with 8")
    break_loss(monkeypatch, out_of_memory)
    with pytest.raises(PermanentError, match="with --batch 4 --imgsz 64"):
        train.run(spec(noise, batch="auto"), Attempt(home, number=2).context)


def test_a_loss_that_is_no_number_ends_it_with_the_epoch_and_the_last_good_checkpoint(
    noise: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = Attempt(home)

    def spoil(size: int, found: Any) -> Any:
        loss, items = found
        return (loss * float("nan"), items) if attempt.epochs else found

    break_loss(monkeypatch, spoil)
    with pytest.raises(PermanentError, match=r"in epoch 2: .* checkpoint of epoch 1 is kept"):
        train.run(spec(noise), attempt.context)
    assert [one.epoch for one in attempt.epochs] == [1]
    assert inspect(attempt.files[1]).class_names == ("apple", "banana", "orange")


def test_a_disk_that_is_full_when_a_checkpoint_is_saved_ends_the_attempt_with_that(
    noise: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = Attempt(home)
    whole = Path.write_bytes

    def write_bytes(self: Path, data: bytes) -> int:
        if attempt.epochs and self.suffix == ".pt":
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return whole(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="No space left on device"):
        train.run(spec(noise), attempt.context)
    assert [one.epoch for one in attempt.epochs] == [1]
    assert len(list((home / "models").iterdir())) == 1, "nothing but its base"


def empty(data: Path) -> None:
    shutil.rmtree(data.parent / "labels")


def unknown_class(data: Path) -> None:
    (data.parent / "labels/train/train1.txt").write_text("0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n")


def no_bytes(data: Path) -> None:
    (data.parent / "images/val/val0.png").write_bytes(b"")


def no_image(data: Path) -> None:
    (data.parent / "images/train/train0.png").write_bytes(b"GIF89a, or so it says")


def no_val(data: Path) -> None:
    shutil.rmtree(data.parent / "images/val")
    content = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({key: content[key] for key in ("train", "names")}))


def one_name_twice(data: Path) -> None:
    data.write_text(data.read_text().replace("banana", "apple"))


def latin_name(data: Path) -> None:
    image = os.fsencode(data.parent / "images/val/val0.png")
    os.rename(image, image.replace(b"val0", b"caf\xe9"))


def over_the_edge(data: Path) -> None:
    label = data.parent / "labels/train/train1.txt"
    label.write_text("\ufeff" + label.read_text() + "0 0.98 0.5 0.05 0.2\n")


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (one_name_twice, "calls both class 0 and class 1 apple"),
        (latin_name, r"caf.udce9.png is not UTF-8: rename"),
        (empty, "has no labels in train: they are looked for beside the images, as /"),
        (unknown_class, r"1 of 6 images of .*train1.png \(Label class 7 exceeds .*\): mend"),
        (no_bytes, r"1 of 6 images of .*val0.png \(it has 0 bytes\)"),
        (no_image, r"1 of 6 images of .*train0.png \(it is no image\)"),
        (no_val, "has no val: it has train"),
    ],
)
def test_a_data_set_of_which_something_would_be_left_out_is_refused(
    home: Path, tmp_path: Path, break_it: Callable[[Path], None], reason: str
) -> None:
    data = write_dataset(tmp_path / "set", {"train": 4, "val": 2})
    break_it(data)
    attempt = Attempt(home)
    with pytest.raises(DatasetError, match=reason):
        train.run(spec(data), attempt.context)
    assert list(attempt.folder.iterdir()) == []


def test_what_ultralytics_keeps_is_trained_on(home: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set", {"train": 4, "val": 2})
    over_the_edge(data)
    attempt = Attempt(home)
    train.run(spec(data, epochs=1), attempt.context)
    assert len(attempt.epochs) == 1


@pytest.fixture
def in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own trains, as it does for each of several devices: but on the CPU."""
    from ultralytics.utils.dist import generate_ddp_file

    def command(trainer: Any) -> tuple[list[str], str]:
        script = generate_ddp_file(trainer)
        return [sys.executable, script], script

    monkeypatch.setattr("worker.training.ranks.generate_ddp_command", command)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("freeze", "stop_after", "raised"),
    [(0, None, None), (0, 1, Stopped), (100, None, NightshelfError)],
    ids=["to its end", "told to stop", "failing"],
)
def test_a_training_in_processes_of_its_own_is_followed_by_what_they_write(
    home: Path,
    tmp_path: Path,
    in_a_process: None,
    monkeypatch: pytest.MonkeyPatch,
    freeze: int,
    stop_after: int | None,
    raised: type[Exception] | None,
) -> None:
    from worker.training.following import Following
    from worker.training.ranks import train_on_several
    from worker.training.trainer import Trainer

    attempt = Attempt(home)
    attempt.stop = lambda: stop_after is not None and len(attempt.epochs) >= stop_after
    data = write_dataset(tmp_path / "set", {"train": 8, "val": 4})
    folder = attempt.folder / "run"
    arguments = {"data": str(data), "model": str(WEIGHTS), "save_dir": str(folder)}
    epochs = 40 if stop_after else 3
    trainer = Trainer(
        overrides=SMALL | arguments | {"device": "cpu", "epochs": epochs, "freeze": freeze}
    )
    if raised is NightshelfError:
        for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
            monkeypatch.setenv(name, value)  # one of several: it tells why
    if raised is None:  # whoever follows may be epochs behind
        monkeypatch.setattr("worker.training.ranks._LOOK_EVERY_S", 8.0)
    following = Following(attempt.context, (), epochs, on_cpu=False)
    others = set(psutil.Process().children(recursive=True))
    with pytest.raises(raised) if raised else nullcontext() as caught:
        train_on_several(trainer, following, attempt.context)
    if raised is NightshelfError:
        assert "froze the entire model" in str(caught.value)  # type: ignore[union-attr]
    elif raised is None:
        assert [one.epoch for one in attempt.epochs] == [1, 2, 3]
        assert inspect(folder / "weights" / "best.pt").class_names == ("apple", "banana", "orange")
        kept = {path.name for path in (folder / "weights").iterdir()}
        assert kept == {"best.pt", "epoch-3.pt"}
        assert attempt.told[-1].unit == "batches"
    assert set(psutil.Process().children(recursive=True)) <= others, "nothing is left running"
