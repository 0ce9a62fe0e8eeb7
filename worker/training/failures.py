"""What can go wrong in a training that trying again would not mend, in words for people."""

from __future__ import annotations

from db.errors import PermanentError

# As Ultralytics tells such errors from others, and what PyTorch says where the machine's own
# memory ends.
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "unable to find an engine",
)


class Diverged(PermanentError):
    """The loss is no number any more."""

    def __init__(self, epoch: int) -> None:
        kept = f"the checkpoint of epoch {epoch - 1} is kept (table training_epochs)"
        super().__init__(
            f"the loss or a metric was no finite number in epoch {epoch}: try a smaller lr0 (with "
            f"--set optimizer=SGD or AdamW, since `auto` chooses it) or --set amp=false; "
            f"{kept if epoch > 1 else 'nothing is kept'}"
        )


class OutOfMemory(PermanentError):
    """The memory of the device or of the machine does not suffice."""

    def __init__(self, batch: int, imgsz: int, device: str) -> None:
        self.batch = batch
        super().__init__(
            f"{device} ran out of memory with --batch {batch} --imgsz {imgsz}: try --batch "
            f"{max(batch // 2, 1)}, a smaller --imgsz, or --batch auto on a GPU"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what an error says."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
