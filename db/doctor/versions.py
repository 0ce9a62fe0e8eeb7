"""Whether the libraries installed are those that this version was written for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from db.doctor.finding import Finding, Verdict, unseen

# Every package at the version that the tests run with; in a checkout, and not in a wheel.
_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"

# The same modules, for machines without a display.
_STAND_INS = {"opencv-python": "opencv-python-headless"}

_REINSTALL = "install again: `pip install nightshelf`, with the constraints.txt of the release"


def examine(constraints: Path = _CONSTRAINTS) -> list[Finding]:
    """The libraries of this environment against the package's own requirements and constraints."""
    try:
        required = list(map(Requirement, requires("nightshelf") or ()))
    except PackageNotFoundError:
        return [unseen("libraries", "nightshelf runs without being installed: pip install it")]
    wanted = [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    found = libraries(wanted, _installed)
    if constraints.is_file():
        lines = constraints.read_text(encoding="utf-8").splitlines()
        pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
        ours = {canonicalize_name(one.name) for one in wanted}
        found.append(
            tested([one for one in pinned if canonicalize_name(one.name) in ours], _installed)
        )
    return found


def _installed(name: str) -> str | None:
    for one in filter(None, (name, _STAND_INS.get(name))):
        try:
            return version(one)
        except PackageNotFoundError:
            continue
    return None


def libraries(
    required: Iterable[Requirement], installed: Callable[[str], str | None]
) -> list[Finding]:
    """A finding for each library that is not as required; if all are, one that says so.

    Args:
        required: what must be there.
        installed: the version of a package by name; None where it is absent.
    """
    required = list(required)
    wrong = [
        Finding(f"library {one.name}", f"{found or 'not installed'}", Verdict.BAD, _cure(one))
        for one in required
        if (found := installed(one.name)) is None
        or not one.specifier.contains(found, prereleases=True)
    ]
    return wrong or [Finding("libraries", f"all {len(required)} as required")]


def _cure(required: Requirement) -> str:
    return f"it must be {required.specifier or 'there'}: {_REINSTALL}"


def tested(pinned: Iterable[Requirement], installed: Callable[[str], str | None]) -> Finding:
    """Whether the libraries have the very versions that the tests run with."""
    others = [
        f"{one.name} {found}"
        for one in pinned
        # A build's own suffix (torch 2.14.1+cu130) satisfies ==2.14.1.
        if (found := installed(one.name)) is not None
        and not one.specifier.contains(found, prereleases=True)
    ]
    what = "tested libraries"
    if not others:
        return Finding(what, "as in constraints.txt")
    return Finding(what, f"other versions: {', '.join(others)}", Verdict.WARNING, _REINSTALL)
