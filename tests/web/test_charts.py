"""Charts as paths."""

import pytest

from portal.web import charts
from portal.web.charts import Series


def plain(value: float) -> str:
    return f"{value:g}"


def paths(*values: list[float | None]) -> list[str]:
    series = [Series(str(number), found) for number, found in enumerate(values)]
    return [path.d for path in charts.lines("n", "N", series, charts.linear([4], plain)).paths]


def test_a_line_has_a_gap_where_nothing_was_measured_and_a_dot_for_a_step_alone() -> None:
    assert paths([0, 4, None, 2]) == ["M125 300L375 0M875 150h0"]
    assert paths([None, None]) == [""]


def test_a_level_part_has_two_points() -> None:
    assert paths([4, 4, 4, 4, 0]) == ["M100 0L700 0L900 300"]


def test_layers_lie_on_each_other() -> None:
    low, high = Series("low", [1, 1]), Series("high", [3, 1])
    chart = charts.layers("n", "N", [low, high], charts.linear([4], plain), limit=2)
    assert [path.d for path in chart.paths] == [
        "M250 0L750 150V300H250Z",
        "M250 225L750 225V300H250Z",
    ]
    assert [path.colour for path in chart.paths] == [1, 0], "the lower layer covers the higher one"
    assert chart.limit == 150
    assert charts.layers("n", "N", [low], charts.linear([4], plain), limit=5).limit is None


def test_a_layer_of_one_step_is_as_wide_as_a_step() -> None:
    chart = charts.layers("n", "N", [Series("only", [None, 4])], charts.linear([4], plain))
    assert [path.d for path in chart.paths] == ["M500 0L1000 0V300H500Z"]


@pytest.mark.parametrize(
    ("values", "top"),
    [([0.03], "0.04"), ([3], "4"), ([4], "4"), ([4.1], "6"), ([99], "100"), ([0, None], "1"), ([], "1")],
)
def test_a_scale_ends_at_a_round_number(values: list[float | None], top: str) -> None:
    assert charts.linear(values, plain).labels[0] == top


def test_a_logarithmic_scale_keeps_what_is_outside_at_its_edges() -> None:
    scale = charts.logarithmic(0.001, plain)
    assert scale.labels == ["10", "1", "0.1", "0.01", "0.001"]
    assert [scale.place(value) for value in (0, 0.001, 0.1, 10, 100)] == pytest.approx([0, 0, 0.5, 1, 1])


def test_an_empty_chart_says_so() -> None:
    empty, full = (charts.lines("n", "N", [Series("a", found)], charts.linear([], plain)) for found in ([None], [0.0]))
    assert (empty.is_empty, full.is_empty) == (True, False)


def test_a_bar_never_exceeds_its_width() -> None:
    assert charts.bar([1, 2], 10) == [(0, 100), (100, 200)]
    assert charts.bar([30, 10], 10) == [(0, 750), (750, 250)]
    assert charts.bar([0, 0], 0) == [(0, 0), (0, 0)]
