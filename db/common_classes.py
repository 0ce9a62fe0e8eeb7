"""Classes by their names: which are one, and on which models can be compared."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from db.errors import ModelError, UsageError


def repeated_name(names: Sequence[str]) -> tuple[int, int] | None:
    """The first two ids with the same name, which no row could tell apart; None if there are none.

    Args:
        names: of the classes; the index is the id.
    """
    numbers: dict[str, int] = {}
    for number, name in enumerate(names):
        if (first := numbers.setdefault(name, number)) < number:
            return first, number
    return None


@dataclass(frozen=True, slots=True)
class CommonClasses:
    """What models and a data set have in common.

    Attributes:
        names: the data set's classes that every model knows, in its order.
        ids: of each model, by these names, the class id.
        left_out: of each model, the data set's classes that it does not know.
    """

    names: tuple[str, ...]
    ids: tuple[dict[str, int], ...]
    left_out: tuple[tuple[str, ...], ...]


def common_classes(
    dataset: Sequence[str],
    models: Mapping[str, Mapping[int, str]],
    class_map: Mapping[str, str],
) -> CommonClasses:
    """Find what models and a data set have in common.

    Args:
        dataset: its classes.
        models: of each model, by what people call it, class id to name.
        class_map: a class of a model, and what the data set calls it; a class that is not in it
            is the one of the same name.

    Raises:
        UsageError: a name in `class_map` is not to be found, or two of its names are one class.
        ModelError: there is nothing in common.
    """
    _refuse_unknown(class_map, dataset, models)
    known = [_known(name, names, dataset, class_map) for name, names in models.items()]
    names = tuple(name for name in dataset if all(name in one for one in known))
    if not names:
        told = "; ".join(
            f"{model} knows {', '.join(one) or 'none of them'}"
            for model, one in zip(models, known, strict=True)
        )
        raise ModelError(
            f"there is no class that all models know, of {', '.join(dataset)}: {told}. "
            "If they call them otherwise: --map MODELCLASS=DATASETCLASS"
        )
    return CommonClasses(
        names,
        tuple({name: one[name] for name in names} for one in known),
        tuple(tuple(name for name in dataset if name not in one) for one in known),
    )


def _known(
    model: str, names: Mapping[int, str], dataset: Sequence[str], class_map: Mapping[str, str]
) -> dict[str, int]:
    """The data set's classes that a model knows, and their ids; what is mapped goes first."""
    found: dict[str, int] = {}
    for number, name in names.items():
        if name in class_map:
            other = found.setdefault(class_map[name], number)
            if other != number:
                raise UsageError(
                    f"--map makes two classes of {model} one, {class_map[name]!r}: "
                    f"{names[other]!r} and {name!r}"
                )
    for number, name in names.items():
        if name in dataset and name not in class_map:
            found.setdefault(name, number)
    return {name: found[name] for name in dataset if name in found}


def _refuse_unknown(
    class_map: Mapping[str, str], dataset: Sequence[str], models: Mapping[str, Mapping[int, str]]
) -> None:
    of_models = sorted({name for names in models.values() for name in names.values()})
    for theirs, ours in class_map.items():
        if theirs not in of_models:
            raise UsageError(f"--map: no model has a class {theirs!r}{_hint(theirs, of_models)}")
        if ours not in dataset:
            raise UsageError(f"--map: the data set has no class {ours!r}{_hint(ours, dataset)}")


def _hint(name: str, known: Sequence[str]) -> str:
    folded = {one.casefold() for one in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    if not near:
        return f": there are {', '.join(list(known)[:8])}{' …' if len(known) > 8 else ''}"
    return f": did you mean {', '.join(one for one in known if one.casefold() in near)}?"
