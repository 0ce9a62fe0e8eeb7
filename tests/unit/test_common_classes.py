"""The classes on which models can be compared."""

from __future__ import annotations

import pytest

from db.common_classes import common_classes
from db.errors import ModelError, UsageError

COCO = {46: "banana", 47: "apple", 49: "orange", 74: "clock"}
OURS = {0: "apple", 1: "orange", 2: "Banana"}
DATASET = ("orange", "Banana", "apple", "kiwi")


def test_classes_are_matched_by_their_exact_names_in_the_order_of_the_data_set() -> None:
    found = common_classes(DATASET, {"coco": COCO, "ours": OURS}, {})
    assert found.names == ("orange", "apple")
    assert found.ids == ({"orange": 49, "apple": 47}, {"orange": 1, "apple": 0})
    assert found.left_out == (("Banana", "kiwi"), ("kiwi",))


def test_a_mapped_class_counts_for_the_models_that_have_it() -> None:
    found = common_classes(DATASET, {"coco": COCO, "ours": OURS}, {"banana": "Banana"})
    assert found.names == ("orange", "Banana", "apple")
    assert found.ids[0]["Banana"] == 46
    assert found.ids[1]["Banana"] == 2


def test_what_is_mapped_goes_before_what_has_the_name() -> None:
    found = common_classes(["apple"], {"coco": COCO, "ours": OURS}, {"orange": "apple"})
    assert found.ids == ({"apple": 49}, {"apple": 1})


def test_nothing_in_common_names_what_each_knows() -> None:
    models = {"coco": COCO, "ours": {0: "hammer"}}
    with pytest.raises(ModelError, match="coco knows orange, apple; ours knows none of them"):
        common_classes(DATASET, models, {})


@pytest.mark.parametrize(
    ("class_map", "said"),
    [
        ({"aple": "apple"}, "no model has a class 'aple': did you mean apple"),
        ({"clock": "Kiwi"}, "the data set has no class 'Kiwi': did you mean kiwi"),
        ({"clock": "kiwi", "banana": "kiwi"}, "two classes of coco one, 'kiwi'"),
    ],
)
def test_a_map_that_cannot_be_is_refused(class_map: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        common_classes(DATASET, {"coco": COCO, "ours": OURS}, class_map)
