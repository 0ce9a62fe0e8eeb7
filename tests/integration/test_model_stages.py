"""Versions of a model, and which of them its name stands for; on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError

import producer
from db import model_stages, schema
from db.dialect import changing_schema, engine
from db.errors import ModelError, NightshelfError, UsageError
from db.layout import model_address
from db.model_stages import Decision
from db.model_tables import ModelRow
from db.settings import Settings
from db.specs import RegisterSpec
from db.states import Stage
from tests.recorded import checkpoint, finished, sha256

WHY = Decision("ada@shop", "fewer misses")


def add(database: Engine, home: Path, name: str, content: str) -> None:
    spec = RegisterSpec(name=name, weights=f"/w/{content}.pt", weights_sha256=sha256(content))
    finished(database, spec, checkpoint("apple"))
    kept = home / model_address(sha256(content))
    kept.parent.mkdir(parents=True)
    kept.write_text(content)


@pytest.fixture
def fruit(configured: Settings, database: Engine) -> Engine:
    """Three versions of `fruit`, and one other model."""
    for name, content in (("fruit", "a"), ("fruit", "b"), ("fruit", "c"), ("coco", "d")):
        add(database, configured.home, name, content)
    return database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database without any table, of each kind in turn."""
    if request.param == "sqlite":
        yield engine(f"sqlite:///{tmp_path / 'empty.db'}")
        return
    cluster = request.getfixturevalue("postgres")
    cluster.create("empty")
    made = engine(cluster.url("empty"))
    yield made
    made.dispose()
    cluster.drop("empty")


def stages(name: str) -> list[tuple[int, str]]:
    return [(one.version, str(one.stage)) for one in producer.models() if one.name == name]


@pytest.mark.usefixtures("fruit")
def test_the_first_version_is_in_production_and_those_after_it_are_candidates() -> None:
    assert stages("fruit") == [(1, "production"), (2, "candidate"), (3, "candidate")]
    assert stages("coco") == [(1, "production")]
    assert producer.model("fruit").version == 1
    assert producer.model("fruit@3").sha256 == sha256("c")


@pytest.mark.usefixtures("fruit")
def test_a_promotion_retires_what_was_there_and_says_who_when_and_why() -> None:
    promoted = producer.promote("fruit@2", why="fewer misses", by="ada@shop")
    assert (promoted.reference, promoted.stage) == ("fruit@2", Stage.PRODUCTION)
    assert stages("fruit") == [(1, "retired"), (2, "production"), (3, "candidate")]
    assert stages("coco") == [(1, "production")], "another name's is not touched"
    first, last = producer.stage_changes("fruit@2")
    assert (first.stage, first.why) == (Stage.CANDIDATE, "registered")
    assert (last.stage, last.changed_by, last.why) == (
        Stage.PRODUCTION,
        "ada@shop",
        "fewer misses",
    )
    assert last.changed_at >= first.changed_at
    assert producer.stage_changes("fruit@1")[-1].why == "replaced by fruit@2: fewer misses"


@pytest.mark.usefixtures("fruit")
def test_a_promotion_can_be_taken_back() -> None:
    producer.promote("fruit@2", why="better")
    producer.promote("fruit@1", why="it was not")
    assert stages("fruit") == [(1, "production"), (2, "retired"), (3, "candidate")]


@pytest.mark.usefixtures("fruit")
def test_a_name_whose_production_version_was_retired_stands_for_none(tmp_path: Path) -> None:
    producer.retire("fruit@1", why="recalled")
    with pytest.raises(ModelError, match="no version of fruit is in production: name one"):
        producer.model("fruit")
    video = tmp_path / "aisle.mp4"
    video.write_text("frames")
    with pytest.raises(ModelError, match="promote it with `nightshelf models promote fruit@3"):
        producer.track([video], "fruit")
    [asked] = producer.track([video], "fruit@1")
    assert asked.job.spec["model_sha256"] == sha256("a"), "it can still be named"


@pytest.mark.usefixtures("fruit")
def test_a_job_keeps_the_version_that_its_name_meant_when_it_was_asked_for(tmp_path: Path) -> None:
    video = tmp_path / "aisle.mp4"
    video.write_text("frames")
    [before] = producer.track([video], "fruit")
    producer.promote("fruit@2", why="better")
    [after] = producer.track([video], "fruit")
    assert [one.job.spec["model"] for one in (before, after)] == ["fruit@1", "fruit@2"]
    assert after.new, "another model is another request"


@pytest.mark.usefixtures("fruit")
@pytest.mark.parametrize(
    ("reference", "why", "complaint"),
    [
        ("fruit", "x", "fruit is a name, which means its production version: say which"),
        ("fruit@9", "x", "there is no model fruit@9: there are fruit@1 production, fruit@2"),
        ("friut@1", "x", "no model is registered as 'friut': did you mean fruit"),
        ("fruit@1", "x", "fruit@1 is in production already"),
        ("fruit@2", " ", "needs its reason"),
    ],
)
def test_a_promotion_that_cannot_be_is_refused_and_changes_nothing(
    reference: str, why: str, complaint: str
) -> None:
    with pytest.raises((ModelError, UsageError), match=complaint):
        producer.promote(reference, why=why)
    assert stages("fruit") == [(1, "production"), (2, "candidate"), (3, "candidate")]


@pytest.mark.usefixtures("fruit")
def test_a_model_whose_file_is_gone_is_not_promoted(configured: Settings) -> None:
    (configured.home / model_address(sha256("b"))).unlink()
    with pytest.raises(ModelError, match="the file of model fruit@2 is gone"):
        producer.promote("fruit@2", why="better")


@pytest.mark.usefixtures("fruit")
def test_what_is_retired_is_not_retired_again() -> None:
    producer.retire("fruit@2", why="no")
    with pytest.raises(UsageError, match="fruit@2 is retired already"):
        producer.retire("fruit@2", why="no")


def test_a_promotion_against_a_version_that_has_been_replaced_is_refused(fruit: Engine) -> None:
    ids = {one.version: one.id for one in producer.models() if one.name == "fruit"}
    since = producer.last_stage_change("fruit")
    producer.promote("fruit@2", why="first")
    with pytest.raises(UsageError, match="were changed while it was compared"), fruit.begin() as tx:
        model_stages.promote(tx, ids[3], WHY, since=since)
    assert stages("fruit") == [(1, "retired"), (2, "production"), (3, "candidate")]


def test_of_two_that_promote_at_once_one_version_is_in_production(fruit: Engine) -> None:
    ids = {one.version: one.id for one in producer.models() if one.name == "fruit"}
    barrier = threading.Barrier(2)

    def promote(version: int) -> None:
        barrier.wait()
        with fruit.begin() as tx:
            model_stages.promote(tx, ids[version], WHY)

    threads = [threading.Thread(target=promote, args=(version,)) for version in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = dict(stages("fruit"))
    assert found[1] == "retired"
    assert sorted((found[2], found[3])) == ["production", "retired"]


def test_the_database_itself_refuses_two_in_production(fruit: Engine) -> None:
    with pytest.raises(IntegrityError), fruit.begin() as tx:
        tx.execute(ModelRow.__table__.update().values(stage="production"))  # type: ignore[attr-defined]


def test_models_registered_before_there_were_versions_are_the_first_and_in_use(
    empty_database: Engine,
) -> None:
    migrate(empty_database, "0004")
    with empty_database.begin() as tx:
        tx.execute(
            text(
                "INSERT INTO jobs (kind, label, spec, fingerprint, queue, priority, max_attempts, "
                "state, created_at, ended_at) VALUES ('register', 'x', '{}', 'f', 'q', 2, 3, "
                "'succeeded', '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
            )
        )
        tx.execute(
            text(
                "INSERT INTO models (name, sha256, address, task, architecture, parameters, "
                "size_bytes, source, job_id, added_at) SELECT 'coco', 's', 'a', 'detect', "
                "'yolov8n', 1, 1, '/w.pt', id, '2026-01-01 00:00:00' FROM jobs"
            )
        )
        tx.execute(text("INSERT INTO model_classes SELECT id, 0, 'apple' FROM models"))
    schema.upgrade(empty_database)
    with empty_database.begin() as tx:
        assert tx.execute(select(ModelRow.name, ModelRow.version, ModelRow.stage)).all() == [
            ("coco", 1, "production")
        ]
        [change] = model_stages.history(tx, tx.scalars(select(ModelRow.id)).one())
        assert change.why == "it was in use"
        assert tx.scalar(text("SELECT name FROM model_classes")) == "apple"
    with pytest.raises(IntegrityError), empty_database.begin() as tx:
        tx.execute(text("DELETE FROM models"))  # the keys that point to it are looked after again


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL looks at each
def test_an_upgrade_that_would_lose_a_row_changes_nothing(database: Engine) -> None:
    with pytest.raises(NightshelfError, match="points nowhere"), changing_schema(database) as tx:
        tx.execute(text("INSERT INTO model_classes VALUES (77, 0, 'apple')"))
    with database.begin() as tx:
        assert tx.scalar(text("SELECT COUNT(*) FROM model_classes")) == 0


def migrate(database: Engine, revision: str) -> None:
    """Bring an empty database to a revision, as the version of that day did."""
    with changing_schema(database) as tx:
        config = schema._config()
        config.attributes["connection"] = tx
        command.upgrade(config, revision)
