"""Train the demo's detector from scratch on rendered scenes: `python -m demo.train`."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from demo.dataset import Shoot, write_dataset
from demo.products import CLASSES

HERE = Path(__file__).parent
SEED = 0
SHOOTS = (
    Shoot("train", first_seed=10_000, belts=64, shelves=36, frames=14),
    Shoot("val", first_seed=20_000, belts=12, shelves=6, frames=9),
)
"""The first seeds are far enough apart that no scene is in both parts."""

STAGES = ((320, 12), (640, 5))
"""Image size and epochs: most of the learning happens at a quarter of the cost, and the rest at the
size that the demo detects at."""

RECIPE: dict[str, Any] = {
    "batch": 8,
    "nbs": 8,
    "optimizer": "AdamW",
    "cos_lr": True,
    "warmup_epochs": 0.5,
    "seed": SEED,
    # Whole frames, padded only to the model's stride; this excludes mosaics.
    "rect": True,
    "mosaic": 0.0,
    "scale": 0.35,
    "translate": 0.1,
    "fliplr": 0.5,
    "hsv_h": 0.01,
    "hsv_s": 0.4,
    "hsv_v": 0.3,
}
RATES = (0.002, 0.001)
"""The first learning rate of each stage."""


def main() -> None:
    """Render, train, evaluate, and keep the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for the data set and runs (temporary)")
    parser.add_argument("--out", type=Path, default=HERE / "products.pt", help="the weights")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        train(work, arguments.out)


def train(work: Path, out: Path) -> None:
    """Train on scenes rendered into the folder `work`, write weights to `out`, print metrics."""
    _isolate(work)
    from ultralytics.models import YOLO  # after its settings have a place to go

    data = write_dataset(work / "data", SHOOTS)
    weights = HERE / "model.yaml"
    for (size, epochs), rate in zip(STAGES, RATES, strict=True):
        model = YOLO(str(weights), task="detect")
        model.train(
            data=str(data),
            imgsz=size,
            epochs=epochs,
            lr0=rate,
            device="cpu",
            workers=1,
            val=False,
            plots=False,
            project=str(work / "runs"),
            name=f"size{size}",
            exist_ok=True,
            **RECIPE,
        )
        weights = work / "runs" / f"size{size}" / "weights" / "last.pt"
    keep(weights, out)
    evaluate(out, data, work)


def evaluate(weights: Path, data: Path, work: Path) -> None:
    """Print how the weights do on the held-out scenes, by Ultralytics' own validation."""
    _isolate(work)
    from ultralytics.models import YOLO

    metrics = YOLO(str(weights)).val(
        data=str(data),
        imgsz=STAGES[-1][0],
        device="cpu",
        batch=8,
        workers=0,
        plots=False,
        project=str(work / "runs"),
        name="val",
        exist_ok=True,
    )
    print(f"all         mAP50 {metrics.box.map50:.4f}  mAP50-95 {metrics.box.map:.4f}")
    for place, class_id in enumerate(metrics.box.ap_class_index):
        half, mean = metrics.box.ap50[place], metrics.box.ap[place]
        print(f"{CLASSES[class_id]:11} mAP50 {half:.4f}  mAP50-95 {mean:.4f}")


def keep(trained: Path, out: Path) -> None:
    """Copy a finished checkpoint to `out` with what it tells of the machine left behind."""
    import torch

    checkpoint: dict[str, Any] = torch.load(trained, map_location="cpu", weights_only=False)
    model = checkpoint["model"]
    model.yaml["yaml_file"] = "model.yaml"
    del model.pt_path
    size, epochs = STAGES[-1]
    recipe = {**RECIPE, "imgsz": size, "epochs": epochs, "task": "detect", "model": "model.yaml"}
    model.args = recipe
    kept = {
        "model": model,
        "train_args": recipe,
        "epoch": -1,
        "license": checkpoint["license"],
        "docs": checkpoint["docs"],
        "version": checkpoint["version"],
    }
    torch.save(kept, out)


def _isolate(work: Path) -> None:
    """Keep Ultralytics' settings out of the home folder, and Ultralytics off the network."""
    settings = work / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    os.environ["YOLO_CONFIG_DIR"] = str(settings)
    os.environ["YOLO_OFFLINE"] = "true"


if __name__ == "__main__":
    main()
