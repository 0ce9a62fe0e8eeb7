"""The weights in the repository."""

import zipfile

import pytest

from demo.train import HERE

WEIGHTS = HERE / "products.pt"


@pytest.fixture(scope="module")
def pickled() -> bytes:
    with zipfile.ZipFile(WEIGHTS) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        return archive.read(name)


@pytest.mark.parametrize("folder", ["/work", "/tmp", "/root", "/home", "/Users"])
def test_the_weights_tell_of_no_folder_of_any_machine(pickled: bytes, folder: str) -> None:
    assert folder.encode() not in pickled


def test_the_weights_know_their_classes_and_task(pickled: bytes) -> None:
    for word in (b"apple", b"watermelon", b"detect", b"DetectionModel"):
        assert word in pickled


def test_the_weights_are_small_enough_to_live_in_a_repository() -> None:
    assert WEIGHTS.stat().st_size < 7_000_000
