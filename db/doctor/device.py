"""Whether jobs can run on the devices that they are meant for; the worker looks for itself."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from db.doctor.finding import Finding, Verdict
from db.settings import PREFIX


class CudaDevice(BaseModel):
    """One GPU as PyTorch sees it; `failure` says why nothing can be computed on it."""

    model_config = ConfigDict(frozen=True)

    name: str
    memory_bytes: int
    failure: str | None


class DeviceReport(BaseModel):
    """What `python -m worker.device_check` found.

    Attributes:
        torch: version of PyTorch; None where it cannot be imported.
        torch_cuda: version of CUDA that PyTorch was built with; None for a build without.
        driver: version of NVIDIA's kernel driver; None where there is none.
        devices: the GPUs, in CUDA's order.
        failures: by name what does not work, and why.
    """

    model_config = ConfigDict(frozen=True)

    torch: str | None
    torch_cuda: str | None
    driver: str | None
    devices: tuple[CudaDevice, ...]
    failures: dict[str, str]


def findings(report: DeviceReport, configured: str) -> list[Finding]:
    """The verdicts on what the worker found.

    Args:
        report: what it found.
        configured: `NIGHTSHELF_DEVICES`.
    """
    return [
        _torch(report),
        *(_device(number, one) for number, one in enumerate(report.devices)),
        *([] if report.devices else [_no_device(report)]),
        *_configured(report, configured),
        *(_codec(report, name) for name in ("h264 decoding", "h264 encoding")),
    ]


def _torch(report: DeviceReport) -> Finding:
    what = "torch"
    if report.torch is None:
        return Finding(what, _why(report, what), Verdict.BAD, "install it again")
    build = f"CUDA {report.torch_cuda}" if report.torch_cuda else "no CUDA"
    return Finding(what, f"{report.torch}, {build}")


def _device(number: int, device: CudaDevice) -> Finding:
    what, value = f"cuda:{number}", f"{device.name}, {device.memory_bytes / 2**30:.0f} GiB"
    if device.failure is None:
        return Finding(what, value)
    cure = "look at nvidia-smi, and whether this PyTorch is built for this GPU"
    return Finding(what, f"{value}: {device.failure}", Verdict.BAD, cure)


def _no_device(report: DeviceReport) -> Finding:
    what = "device"
    if report.driver is None:
        return Finding(what, "cpu")
    value = f"cpu, though there is a driver ({report.driver})"
    if report.torch_cuda is None:
        cure = "install PyTorch with CUDA"
    else:
        cure = f"check CUDA_VISIBLE_DEVICES, and that the driver serves CUDA {report.torch_cuda}"
    return Finding(what, value, Verdict.WARNING, cure)


def _configured(report: DeviceReport, configured: str) -> list[Finding]:
    if configured == "auto":
        return []
    there = {"cpu", "cuda"} | {f"cuda:{number}" for number in range(len(report.devices))}
    named = [name.strip() for name in configured.split(",") if name.strip()]
    missing = [
        name for name in named if name not in there or (name == "cuda" and not report.devices)
    ]
    what = "configured devices"
    if not missing:
        return [Finding(what, ", ".join(named))]
    cure = f"mend {PREFIX}DEVICES, or the driver: a worker for it fails every job"
    return [Finding(what, f"{', '.join(missing)} is not there", Verdict.BAD, cure)]


def _codec(report: DeviceReport, name: str) -> Finding:
    if name not in report.failures:
        return Finding(name, "works")
    return Finding(name, _why(report, name), Verdict.BAD, "install PyAV's own wheel (`av`) again")


def _why(report: DeviceReport, name: str) -> str:
    return report.failures.get(name, "it cannot be imported")
