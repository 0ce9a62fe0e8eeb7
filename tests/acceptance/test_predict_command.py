"""`nightshelf predict` and `nightshelf report detections`, as they are typed."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from pathlib import Path

import fsspec
import pytest
from sqlalchemy import text

from db.dialect import reading
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.s3_double import s3_double
from tests.servers import Valkey
from tests.stills import READABLE, UNREADABLE, write_broken, write_stills

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_images_are_looked_at_in_one_job_and_the_boxes_are_rows_and_files(
    deployed: Deployment, tmp_path: Path
) -> None:
    stills = write_stills(tmp_path / "stills")
    write_broken(stills)
    arguments = ("predict", str(stills), "--model", "products", "--imgsz", "320", "--conf", "0.1")
    said = deployed.cli(*arguments, "--wait")
    assert f"{len(UNREADABLE)} images could not be read" in said
    found = deployed.cli_json(*arguments, "--wait")
    assert found["facts"]["images"] == len(READABLE) + len(UNREADABLE)
    assert sum(one["detections"] for one in found["classes"]) == found["facts"]["detections"]
    with reading(deployed.database) as tx:
        assert tx.scalar(text("SELECT COUNT(*) FROM jobs WHERE kind = 'predict'")) == 1
        rows = tx.scalar(text("SELECT COUNT(*) FROM detections"))
    assert rows == found["facts"]["detections"] > 20
    folder = deployed.home / f"jobs/{found['job_id']}/attempt-1"
    assert len(json.loads((folder / "coco.json").read_text())["annotations"]) == rows
    assert (deployed.home / found["facts"]["annotated"] / "shelf.png").is_file()
    page = tmp_path / "detections.html"
    deployed.cli("report", "detections", str(found["job_id"]), "--html", str(page))
    assert "Detections of each class" in page.read_text()

    shutil.copyfile(stills / "belt.jpg", stills / "another.jpg")
    other = deployed.cli_json(*arguments, "--wait", "--no-annotate")
    assert other["job_id"] != found["job_id"]
    assert other["facts"]["annotated"] is None
    assert "nothing matches" in deployed.cli(
        "predict", str(stills / "*.gif"), "--model", "products", code=1
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_an_object_store_the_model_is_fetched_and_all_that_is_left_behind_is_kept(
    database_url: str, broker: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stills = write_stills(tmp_path / "stills")
    with (
        s3_double() as s3,
        tempfile.TemporaryDirectory(prefix="ns-") as here,
        tempfile.TemporaryDirectory(prefix="ns-") as desk,
        deployment(
            Path(here), database_url, broker.url, NIGHTSHELF_FILES_URL=s3.url, **s3.environment
        ) as machine,
        deployment(
            Path(desk), database_url, broker.url, NIGHTSHELF_FILES_URL=s3.url, **s3.environment
        ) as person,
    ):
        machine.start("worker")
        person.cli("models", "add", str(WEIGHTS), "--name", "products")
        shutil.rmtree(Path(here) / "models")
        arguments = ("predict", str(stills), "--model", "products", "--imgsz", "320")
        found = person.cli_json(*arguments, "--wait")
        assert found["facts"]["detections"] > 20
        drawn = found["facts"]["annotated"]
        assert drawn == f"{s3.url}/jobs/{found['job_id']}/attempt-1/annotated.tar"
        assert drawn in person.cli(*arguments, "--wait")
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        store, root = fsspec.core.url_to_fs(f"{s3.url}/jobs/{found['job_id']}/attempt-1")
        kept = {Path(path).name for path in store.find(root)}
        assert kept == {
            "annotated.tar",
            "coco.json",
            "detections.csv",
            "detections.parquet",
            "images.parquet",
        }
        with store.open(f"{root}/annotated.tar") as file, tarfile.open(fileobj=file) as archive:
            drawn = {name.removeprefix("./") for name in archive.getnames()}
        assert {"shelf.png", "Süßes/clipping é.bmp.jpg"} <= drawn
        assert not (Path(here) / "jobs" / str(found["job_id"])).exists(), "the copies are gone"
