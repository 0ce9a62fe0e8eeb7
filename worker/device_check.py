"""`python -m worker.device_check`: what PyTorch and PyAV can do here, as a line of JSON."""

from __future__ import annotations

import re
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from db.doctor.device import CudaDevice, DeviceReport

# What the driver says of itself, in containers too.
_DRIVER = Path("/proc/driver/nvidia/version")

_WIDTH, _HEIGHT, _FRAMES = 64, 48, 5


def main() -> None:
    """Look at everything, and print a `DeviceReport`."""
    failures: dict[str, str] = {}
    version: str | None = None
    cuda: str | None = None
    devices: tuple[CudaDevice, ...] = ()
    try:
        version, cuda, devices = _torch()
    except (ImportError, OSError) as error:
        failures["torch"] = _in_a_line(error)
    failures |= _codecs()
    report = DeviceReport(
        torch=version, torch_cuda=cuda, driver=_driver(), devices=devices, failures=failures
    )
    sys.stdout.write(f"{report.model_dump_json()}\n")


def _torch() -> tuple[str, str | None, tuple[CudaDevice, ...]]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old: the report shows it
        count = torch.cuda.device_count()
    devices = tuple(_device(number) for number in range(count))
    return str(torch.__version__), torch.version.cuda, devices


def _device(number: int) -> CudaDevice:
    import torch

    name, memory_bytes, failure = "unknown", 0, None
    try:
        facts = torch.cuda.get_device_properties(number)
        name, memory_bytes = facts.name, facts.total_memory
        if torch.ones(8, device=f"cuda:{number}").sum().item() != 8:
            failure = "it computes wrongly"
    except RuntimeError as error:
        failure = _in_a_line(error)
    return CudaDevice(name=name, memory_bytes=memory_bytes, failure=failure)


def _driver() -> str | None:
    if not _DRIVER.exists():
        return None
    first_line = _DRIVER.read_text(encoding="utf-8").partition("\n")[0]
    found = re.search(r"\d+\.\d+(\.\d+)?", first_line)
    return found.group() if found else first_line


def _codecs() -> dict[str, str]:
    """Encode some frames as H.264 and decode them again; gives what does not work, and why."""
    failures: dict[str, str] = {}
    packets: list[av.Packet[VideoStream]] = []
    try:
        packets = _encoded()
    except (av.FFmpegError, ValueError) as error:
        failures["h264 encoding"] = _in_a_line(error)
    try:
        decoded = _decoded(packets)
        if packets and decoded != _FRAMES:
            failures["h264 decoding"] = f"{decoded} of {_FRAMES} frames came back"
    except (av.FFmpegError, ValueError) as error:
        failures["h264 decoding"] = _in_a_line(error)
    return failures


def _encoded() -> list[av.Packet[VideoStream]]:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    packets: list[av.Packet[VideoStream]] = []
    for number in range(_FRAMES):
        frame = av.VideoFrame(_WIDTH, _HEIGHT, "yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def _decoded(packets: list[av.Packet[VideoStream]]) -> int:
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    return sum(len(decoder.decode(packet)) for packet in [*packets, None])


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    main()
