"""What Ultralytics' trainer is given for a training and where it begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.quiet import quiet_ultralytics
from tests.recorded import train_spec


@pytest.fixture(autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


@pytest.mark.parametrize(("trained", "device"), [(None, "0,1"), (3, "0")])
def test_a_final_validation_alone_is_one_device_s(trained: int | None, device: str) -> None:
    """Of several processes, each would refuse to go on with a training that is over."""
    from worker.training.start import Start
    from worker.training.training import arguments_for

    start = Start(checkpoint=Path("/epoch-3.pt"), best=Path("/epoch-2.pt"), trained=trained)
    given = arguments_for(train_spec("a" * 64), Path("/data.yaml"), "0,1", start, Path("/run"))
    assert given["device"] == device
    assert given["resume"] == "/epoch-3.pt"
