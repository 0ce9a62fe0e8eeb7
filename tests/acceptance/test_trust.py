"""What comes from outside by the queue, the database or a model's file: nothing of it is obeyed."""

from __future__ import annotations

import base64
import json
import os
import pickle
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db import job_creation, job_records, queue, schema
from db.dialect import engine, reading
from db.files import sha256_of
from db.layout import model_address
from db.settings import Settings
from db.specs import TrackSpec
from db.states import State
from tests import servers
from tests.clips import write_clip
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.servers import Valkey

_QUEUE = queue.QUEUES[0]


class _Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


class Site:
    """A deployment with a worker that may read its footage, and has a registered model."""

    def __init__(self, deployed: Deployment, broker: Valkey, footage: Path) -> None:
        self.deployed, self.broker, self.footage = deployed, broker, footage
        self.crater = footage / "crater"
        self._number = 0

    def clip(self) -> Path:
        """A clip that nobody has seen."""
        self._number += 1
        path = self.footage / f"{self._number}.mp4"
        write_clip(path, [(self._number + 1, 30)])
        return path

    def worker_pid(self) -> int:
        """The process id of the one Celery worker."""
        [worker] = self.deployed.processes("celery --app worker.tasks")
        return int(worker.pid)

    def works(self) -> None:
        """Track a clip, as ever."""
        command = ("track", str(self.clip()), "--model", "products", "--imgsz", "64", "--wait")
        self.deployed.cli(*command)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with (
        tempfile.TemporaryDirectory(prefix="ns-", ignore_cleanup_errors=True) as name,
        servers.valkey() as broker,
    ):
        url = f"sqlite:///{name}/test.db"
        schema.upgrade(engine(url))
        footage = Path(name) / "footage"
        footage.mkdir()
        roots = f"{footage}:{WEIGHTS.parent}"
        with deployment(Path(name), url, broker.url, NIGHTSHELF_ROOTS=roots) as made:
            made.start("worker")
            made.cli("models", "add", str(WEIGHTS), "--name", "products")
            yield Site(made, broker, footage)


# Messages.


def a_message(broker: Valkey) -> dict[str, Any]:
    """A message as it lies in the broker, for a job that does not exist."""
    app = queue.make_app(Settings(broker_url=broker.url))  # type: ignore[arg-type]
    app.conf.task_create_missing_queues = True
    app.send_task("nightshelf.track", args=(999_999,), queue="aside", ignore_result=True)
    with broker.client() as client:
        return dict(json.loads(client.rpop("aside")))


def body(content: bytes) -> str:
    return base64.b64encode(content).decode()


def arguments(*values: Any, **more: Any) -> bytes:
    """A message's body in Celery's protocol 2."""
    return json.dumps([values, more, {}]).encode()


PICKLE = "application/x-python-serialize"


def hostile(crater: Path) -> dict[str, dict[str, Any]]:
    """What each message has other than one of ours, by what is wrong with it."""
    bomb = pickle.dumps(_Bomb(crater))
    pickled = pickle.dumps(((_Bomb(crater),), {}, {}))
    ours = "application/json"
    return {
        "a pickle": {"content-type": PICKLE, "content-encoding": "binary", "body": body(pickled)},
        "a bare pickle": {"content-type": PICKLE, "content-encoding": "binary", "body": body(bomb)},
        "JSON that is called a pickle": {"content-type": PICKLE, "body": body(arguments(1))},
        "a pickle that is called JSON": {"content-type": ours, "body": body(pickled)},
        "a pickle that is called data": {"content-type": "application/data", "body": body(pickled)},
        "a pickle of no type": {"content-type": None, "body": body(pickled)},
        "YAML": {"content-type": "application/x-yaml", "body": body(b"!!python/name:os.system")},
        "no JSON": {"body": body(b"{")},
        "nothing at all": {"body": body(b"null")},
        "three letters": {"body": body(b'"abc"')},
        "three numbers": {"body": body(b"[1, 2, 3]")},
        "a chain": {"body": body(json.dumps([[1], {}, {"chain": [{"task": "x"}]}]).encode())},
        "a time that is none": {"headers": {"eta": "soon", "expires": "x", "timelimit": 5}},
        "no arguments": {"body": body(arguments())},
        "too many arguments": {"body": body(arguments(1, 2, 3))},
        "another argument": {"body": body(arguments(1, shell="id"))},
        "a word": {"body": body(arguments("1; DROP TABLE jobs"))},
        "nothing": {"body": body(arguments(None))},
        "a list": {"body": body(arguments([1]))},
        "an object": {"body": body(arguments({"__type__": "uuid", "__value__": "x"}))},
        "a huge number": {"body": body(arguments(10**30))},
        "a number below 1": {"body": body(arguments(-1))},
        "a fraction": {"body": body(arguments(0.5))},
    }


def test_a_message_that_is_not_ours_runs_nothing_and_the_worker_works_on(site: Site) -> None:
    pid = site.worker_pid()
    sent = a_message(site.broker)
    with site.broker.client() as client:
        for task in ("nightshelf.track", "os.system"):
            for change in hostile(site.crater).values():
                message = json.loads(json.dumps(sent)) | change
                message["headers"] = sent["headers"] | message["headers"]
                message["headers"] |= {"task": task, "id": str(uuid.uuid4())}
                message["properties"]["delivery_tag"] = str(uuid.uuid4())
                client.lpush(_QUEUE, json.dumps(message))
        site.deployed.until(lambda: client.llen(_QUEUE) == 0)
        site.works()
        site.deployed.until(lambda: client.hlen("unacked") == 0)
    assert not site.crater.exists()
    assert site.worker_pid() == pid


@pytest.mark.slow
@pytest.mark.parametrize("garbage", ["garbage", "[]", "{}", '{"body": "", "headers": null}'])
def test_what_is_no_message_at_all_costs_a_start_of_the_worker_and_no_job(
    site: Site, garbage: str
) -> None:
    [supervisor] = site.deployed.processes("-m worker")[:1]
    with site.broker.client() as client:
        client.lpush(_QUEUE, garbage)
        site.deployed.until(lambda: client.llen(_QUEUE) == 0)
    site.works()
    assert supervisor.is_running()


# Specs.


def _with(**values: Any) -> Callable[[Site, dict[str, Any]], Any]:
    return lambda site, spec: spec | values


def _outside_by_dots(site: Site, spec: dict[str, Any]) -> Any:
    return spec | {"video": f"{site.footage}/../test.db"}


def _by_a_link(site: Site, spec: dict[str, Any]) -> Any:
    link = site.footage / "link.mp4"
    link.symlink_to(site.deployed.home / "test.db")
    return spec | {"video": str(link)}


def _round_in_a_circle(site: Site, spec: dict[str, Any]) -> Any:
    (site.footage / "a.mp4").symlink_to(site.footage / "b.mp4")
    (site.footage / "b.mp4").symlink_to(site.footage / "a.mp4")
    return spec | {"video": str(site.footage / "a.mp4")}


def _a_playlist(site: Site, spec: dict[str, Any]) -> Any:
    path = site.footage / "list.mp4"
    path.write_text(f"#EXTM3U\n#EXTINF:2,\n{spec['video']}\n#EXT-X-ENDLIST\n")
    return spec | {"video": str(path), "video_sha256": sha256_of(path)}


def _a_checkpoint_that_would_run_code(site: Site, spec: dict[str, Any]) -> Any:
    """Whoever can write files and rows could have it loaded, but not run."""
    path = site.footage / "bomb.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickle.dumps({"model": _Bomb(site.crater)}, 2))
        archive.writestr("weights/version", "3\n")
    digest = sha256_of(path)
    kept = site.deployed.home / model_address(digest)
    kept.parent.mkdir(parents=True)
    path.rename(kept)
    return spec | {"model_sha256": digest}


EDITS: list[tuple[Callable[[Site, dict[str, Any]], Any], str]] = [
    (lambda site, spec: [], "the spec is not valid"),
    (lambda site, spec: "track", "the spec is not valid"),
    (lambda site, spec: {"kind": "track"}, "the spec is not valid"),
    (_with(kind="shell"), "the spec is not valid"),
    (_with(video="http://127.0.0.1:1/clip.mp4"), "the path must be absolute"),
    (_with(video="concat:/a.mp4|/b.mp4"), "the path must be absolute"),
    (_with(video="../clip.mp4"), "the path must be absolute"),
    (_with(video="/nul\0.mp4"), r"no such file: /nul\x00.mp4"),
    (_with(video="/dev/zero"), "no such file: /dev/zero"),
    (_with(model_sha256="../../../etc"), "the spec is not valid"),
    (_with(imgsz=10**9), "the spec is not valid"),
    (_with(conf=float("nan")), "the spec is not valid"),
    (_with(stride=0), "the spec is not valid"),
    (_with(device="cuda:7"), "cuda:7"),
    (_with(shell="id"), "the spec is not valid"),
    (_outside_by_dots, "lies outside the allowed folders"),
    (_by_a_link, "lies outside the allowed folders"),
    (_round_in_a_circle, "no such file"),
    (_a_playlist, "is no video in a known container"),
    (_a_checkpoint_that_would_run_code, "calls for code that is no part of a YOLOv8 checkpoint"),
]


@pytest.mark.slow
def test_a_row_that_was_edited_fails_its_job_with_a_reason_and_the_worker_works_on(
    site: Site,
) -> None:
    pid = site.worker_pid()
    [model] = site.deployed.cli_json("models", "list")
    expected: dict[int, str] = {}
    with site.deployed.database.begin() as tx:
        for edit, reason in EDITS:
            video = site.clip()
            spec = TrackSpec(
                video=str(video),
                video_sha256=sha256_of(video),
                model="products",
                model_sha256=model["sha256"],
                imgsz=64,
            )
            job, _ = job_creation.create(tx, spec, max_attempts=1)
            edited = json.dumps(edit(site, job.spec))
            tx.execute(
                text("UPDATE jobs SET spec = :spec WHERE id = :id"),
                {"spec": edited, "id": job.id},
            )
            expected[job.id] = reason
    site.deployed.cli("reconcile", "--once")
    site.deployed.until_over(*expected)
    with reading(site.deployed.database) as tx:
        ended = [job_records.get(tx, number) for number in expected]
    for job in ended:
        assert job.state is State.FAILED
        assert expected[job.id] in str(job.error), job
        assert "\n" not in str(job.error)
        assert job.attempt == 1
    site.works()
    assert not site.crater.exists()
    assert site.worker_pid() == pid


@pytest.mark.slow
def test_a_registered_file_that_became_one_that_would_run_code_is_not_loaded(site: Site) -> None:
    [model] = site.deployed.cli_json("models", "list")
    kept = site.deployed.home / model_address(model["sha256"])
    kept.chmod(0o644)
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr("weights/data.pkl", pickle.dumps({"model": _Bomb(site.crater)}, 2))
        archive.writestr("weights/version", "3\n")
    command = ("track", str(site.clip()), "--model", "products", "--imgsz", "64", "--wait")
    assert "has changed since it was registered" in site.deployed.cli(*command, code=3)
    assert not site.crater.exists()
    site.deployed.cli("models", "add", str(WEIGHTS), "--name", "products")
    site.works()
