"""A model that is worse than the demo's: the same, with noise on the weights of its head."""

from __future__ import annotations

from pathlib import Path

from tests.deployment import WEIGHTS


def shaken(path: Path) -> Path:
    """Write it to a file."""
    import torch

    content = torch.load(WEIGHTS, weights_only=False)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in content["model"].model[-1].parameters():
            weight.add_(torch.randn_like(weight) * 0.25 * weight.std(correction=0))
    torch.save(content, path)
    return path
