from __future__ import annotations

import threading

import ipywidgets
import pytest

from trignb.notebook.widgets.controls import Choice, TwoClicks, switch, text_field


@pytest.fixture
def chosen() -> list[object]:
    return []


@pytest.fixture
def choice(chosen: list[object]) -> Choice:
    return Choice.of("Label", "title", chosen.append, options=["a", "b"], value="a")


def test_choosing_is_told(choice: Choice, chosen: list[object]) -> None:
    choice.widget.value = "b"
    assert chosen == ["b"]


def test_offering_tells_nobody(choice: Choice, chosen: list[object]) -> None:
    choice.offer(["x", "b", "y"], "b")
    assert choice.widget.value == "b"
    choice.offer(["x", "y"], None)
    assert choice.widget.value is None
    choice.offer(["x", "y"], "y")
    assert choice.widget.value == "y"
    assert chosen == []
    choice.widget.value = "x"
    assert chosen == ["x"]


def test_click_while_options_are_exchanged_is_told(
    choice: Choice, chosen: list[object]
) -> None:
    def click(_: object) -> None:
        thread = threading.Thread(target=choice._chosen, args=({"new": "clicked"},))
        thread.start()
        thread.join()

    choice.widget.observe(click, "options")
    choice.offer(["x", "y"], "y")
    assert chosen == ["clicked"]


def test_list_that_shows_several_rows(chosen: list[object]) -> None:
    choice = Choice(ipywidgets.Select(description="Rows"), chosen.append)
    choice.offer([("one", 1), ("two", 2)], 2)
    assert choice.widget.index == 1
    assert chosen == []


def test_two_clicks(chosen: list[object]) -> None:
    twice = TwoClicks("Delete", "title", lambda: chosen.append("deleted"))
    twice.widget.click()
    assert twice.widget.description == "Really delete?"
    twice.forget()
    twice.widget.click()
    assert chosen == []
    twice.widget.click()
    assert chosen == ["deleted"]
    assert twice.widget.description == "Delete"


def test_switch_and_text(chosen: list[object]) -> None:
    switch("Pause", "title", chosen.append).value = True
    text_field("Keys", "title", chosen.append).value = "user:*"
    assert chosen == [True, "user:*"]
