"""What a training writes, on SQLite and on PostgreSQL; and that its settings are Ultralytics'."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db import jobs, results
from db.dialect import reading
from db.errors import LeaseLost, ModelError
from db.job_records import Job
from db.jobs import Lease
from db.layout import checkpoint_address
from db.specs import TrainSpec
from db.training_results import EpochFacts, TrainResult, epochs_so_far, write_epoch
from db.training_settings import SETTINGS, Number, OneOf
from tests.quiet import quiet_ultralytics
from tests.recorded import claimed, epoch_facts, register_model, sha256, train_spec
from worker.training.checkpoints import Keeping
from worker.wire import EpochEnded

# Of Ultralytics' arguments, those that are an option of `train`, say where files lie, belong to
# another task or another mode, or would make a training something else than what it is here.
NOT_FOR_US = frozenset(
    """
    model pretrained data name epochs imgsz batch patience seed device resume
    task mode cfg project exist_ok save save_period plots verbose val split profile
    time compile distill_model dis quantize
    overlap_mask mask_ratio dropout auto_augment erasing copy_paste copy_paste_mode retina_masks
    pose kobj rle angle dlog dgrad dlam
    save_json conf dnn nms augment agnostic_nms classes embed visualize source vid_stride
    stream_buffer show save_frames save_txt save_conf save_crop show_labels show_conf show_boxes
    line_width format optimize dynamic simplify opset workspace tracker
    """.split()  # noqa: SIM905 - a list of words, and not of sixty lines
)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


def test_settings_are_ultralytics_own_with_its_ranges_and_defaults(quiet: None) -> None:
    from ultralytics import cfg

    assert set(SETTINGS) | NOT_FOR_US == set(cfg.DEFAULT_CFG_DICT)
    assert not set(SETTINGS) & NOT_FOR_US
    for name, default in cfg.DEFAULT_CFG_DICT.items():
        if name in SETTINGS and default is not None:
            assert SETTINGS[name].accepts(default), name
    numbers = {name: one for name, one in SETTINGS.items() if isinstance(one, Number)}
    whole = {name for name, one in numbers.items() if one.whole}
    assert whole == set(SETTINGS) & cfg.CFG_INT_KEYS
    assert {name: numbers[name].least for name in whole & set(cfg.CFG_INT_MIN)} == {
        name: cfg.CFG_INT_MIN[name] for name in whole & set(cfg.CFG_INT_MIN)
    }
    fractions = set(SETTINGS) & (cfg.CFG_FRACTION_KEYS | {"scale"})
    assert {name for name, one in numbers.items() if one.most == 1} == fractions
    assert set(numbers) - whole - fractions == set(SETTINGS) & cfg.CFG_FLOAT_KEYS
    switches = {name for name, one in SETTINGS.items() if one == OneOf(switch=True)}
    assert switches == set(SETTINGS) & cfg.CFG_BOOL_KEYS


def write(database: Engine, job: Job, facts: EpochFacts) -> list[str]:
    address = checkpoint_address(job.id, job.attempt, facts.epoch)
    with database.begin() as tx:
        dropped = write_epoch(tx, job.id, job.attempt, facts, address, sha256(str(address)))
    return [str(one.parent.name) for one in dropped]


def running(database: Engine, asked: TrainSpec) -> Lease:
    with database.begin() as tx:
        return claimed(tx, asked)


def finish(database: Engine, lease: Lease, result: TrainResult) -> None:
    with database.begin() as tx:
        jobs.finish(tx, lease)
        results.write(tx, lease.job, result)


RESULT = TrainResult(
    task="detect",
    architecture="yolov8n",
    class_names=("apple", "banana"),
    parameters=3_000_000,
    size_bytes=6_000_000,
    model_sha256=sha256("made"),
    device="cpu",
    batch=16,
    versions={"nightshelf": "0.1.0"},
    files=(),
)


def test_rows_point_to_the_checkpoints_of_the_last_epoch_and_of_the_best(database: Engine) -> None:
    lease = running(database, train_spec(register_model(database, "products", ["apple"])))
    assert write(database, lease.job, epoch_facts(1, best=True)) == []
    assert write(database, lease.job, epoch_facts(2)) == []
    assert write(database, lease.job, epoch_facts(3)) == ["epoch-2"]
    assert write(database, lease.job, epoch_facts(4, best=True)) == ["epoch-1", "epoch-3"]
    with reading(database) as tx:
        records = epochs_so_far(tx, lease.job.id)
    assert [one.facts for one in records] == [
        epoch_facts(1, best=True),
        epoch_facts(2),
        epoch_facts(3),
        epoch_facts(4, best=True),
    ]
    assert [one.checkpoint is not None for one in records] == [False, False, False, True]
    assert records[3].sha256 == sha256(str(records[3].checkpoint))


def test_a_training_that_is_done_has_a_model_with_its_lineage(database: Engine) -> None:
    base = register_model(database, "products", ["apple"])
    lease = running(database, train_spec(base))
    for facts in (epoch_facts(1, best=True), epoch_facts(2, best=True), epoch_facts(3, final=True)):
        write(database, lease.job, facts)
    finish(database, lease, RESULT)
    with reading(database) as tx:
        [row] = tx.execute(text("SELECT * FROM trainings")).mappings().all()
        [model] = tx.execute(text("SELECT * FROM models WHERE name = 'fruit'")).mappings().all()
        left = tx.scalar(text("SELECT COUNT(*) FROM training_epochs WHERE checkpoint IS NOT NULL"))
        stored = epochs_so_far(tx, lease.job.id)
        base_id = tx.scalar(text("SELECT id FROM models WHERE name = 'products'"))
    assert (model["version"], model["stage"], model["sha256"]) == (1, "candidate", sha256("made"))
    assert (row["model_id"], row["base_model_id"], row["base"]) == (
        model["id"],
        base_id,
        "products@1",
    )
    assert (row["epochs"], row["epochs_run"], row["best_epoch"]) == (3, 3, 2)
    assert not row["stopped_early"]
    assert row["seconds"] == 7.5
    assert row["extends_job_id"] is None
    assert left == 0, "the job's own last.pt is gone on from now"
    assert len(stored) == 3


def test_a_second_training_under_a_name_makes_its_next_version(database: Engine) -> None:
    base = register_model(database, "products", ["apple"])
    for number, content in enumerate(("one", "two"), start=1):
        lease = running(database, train_spec(base, seed=number))
        write(database, lease.job, epoch_facts(1, best=True))
        finish(database, lease, RESULT.model_copy(update={"model_sha256": sha256(content)}))
    with reading(database) as tx:
        query = text("SELECT version FROM models WHERE name = 'fruit' ORDER BY id")
        assert list(tx.scalars(query)) == [1, 2]
        assert set(tx.scalars(text("SELECT stopped_early FROM trainings"))) == {True}


def test_a_base_that_is_not_registered_any_more_leaves_nothing_half(database: Engine) -> None:
    lease = running(database, train_spec(sha256("gone")))
    write(database, lease.job, epoch_facts(1, best=True))
    with pytest.raises(ModelError, match="not registered any more"):
        finish(database, lease, RESULT)
    with reading(database) as tx:
        assert tx.scalar(text("SELECT COUNT(*) FROM models")) == 0


def test_a_worker_that_has_lost_the_job_writes_no_epoch(database: Engine, tmp_path: Path) -> None:
    from db.storage import HomeFolder

    lease = running(database, train_spec(register_model(database, "products", ["apple"])))
    folder = tmp_path / "jobs" / str(lease.job.id) / "attempt-1"
    folder.mkdir(parents=True)
    (folder / "epoch-1.pt").write_text("weights")
    ended = EpochEnded(epoch=epoch_facts(1, best=True), checkpoint="epoch-1.pt")
    keeping = Keeping(HomeFolder(tmp_path), tmp_path, lease, ended)
    keeping.move(lambda moved: None)
    with database.begin() as tx:
        jobs.hand_back(tx, lease)
    with pytest.raises(LeaseLost), database.begin() as tx:
        keeping.write(tx, 60)
    with reading(database) as tx:
        assert epochs_so_far(tx, lease.job.id) == []
