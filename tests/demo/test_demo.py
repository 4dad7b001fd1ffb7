"""The demo is the main job; it must come out on this kernel."""

import io

import pytest

from ctherd.demo.demo import run_demo

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.usefixtures("only_agent")]


@pytest.mark.timeout(180)
def test_every_step_of_the_demo_comes_out() -> None:
    """From a failing transfer to a withdrawn helper, each step does what the story says."""
    told = io.StringIO()
    assert run_demo(told) == 0, told.getvalue()
