"""What `nightshelf doctor` makes of what a worker says of its devices."""

from __future__ import annotations

from typing import Any

import pytest

from db.doctor import device
from db.doctor.device import CudaDevice, DeviceReport
from db.doctor.finding import Finding, Verdict
from tests.findings import BAD, OK, WARNING, assert_verdict

H100 = CudaDevice(name="H100", memory_bytes=80 * 2**30, failure=None)


def report(**values: Any) -> DeviceReport:
    facts: dict[str, Any] = {"torch": "2.14.1+cu130", "torch_cuda": "13.0", "driver": None}
    return DeviceReport(**(facts | {"devices": (), "failures": {}} | values))


def verdicts(found: list[Finding]) -> dict[str, Verdict]:
    for one in found:
        assert_verdict(one, one.verdict)
    return {one.what: one.verdict for one in found if one.verdict is not OK}


def test_a_machine_without_a_gpu_is_well() -> None:
    found = device.findings(report(torch_cuda=None), "auto")
    assert verdicts(found) == {}
    assert ("device", "cpu") in [(one.what, one.value) for one in found]


def test_a_gpu_that_computes_is_well() -> None:
    found = device.findings(report(devices=(H100,), driver="580.1"), "auto")
    assert verdicts(found) == {}
    assert ("cuda:0", "H100, 80 GiB") in [(one.what, one.value) for one in found]


@pytest.mark.parametrize(
    ("values", "configured", "expected"),
    [
        ({"driver": "580.1"}, "auto", {"device": WARNING}),
        ({"driver": "580.1", "torch_cuda": None}, "auto", {"device": WARNING}),
        ({}, "cuda:0", {"configured devices": BAD}),
        ({"devices": (H100,)}, "cuda:0, cuda:1", {"configured devices": BAD}),
        ({"devices": (H100,)}, "cuda:0,cpu", {}),
        ({}, "cpu", {}),
        ({"torch": None, "torch_cuda": None}, "cpu", {"torch": BAD}),
        ({"failures": {"h264 encoding": "no libx264"}}, "cpu", {"h264 encoding": BAD}),
        ({"failures": {"h264 decoding": "4 of 5"}}, "cpu", {"h264 decoding": BAD}),
        (
            {"devices": (H100, H100.model_copy(update={"failure": "no kernel image"}))},
            "auto",
            {"cuda:1": BAD},
        ),
    ],
)
def test_what_keeps_a_device_from_working_is_named(
    values: dict[str, Any], configured: str, expected: dict[str, Verdict]
) -> None:
    assert verdicts(device.findings(report(**values), configured)) == expected
