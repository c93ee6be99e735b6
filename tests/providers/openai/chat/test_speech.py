"""What is said in the events of a stream: every golden one, with the tokens of its usage."""

from __future__ import annotations

import pytest

from mockllm.providers.openai.chat.speech import SPEAKER
from tests.support import goldens
from tests.support.speeches import check_steps


@pytest.mark.parametrize("case", goldens.cases("openai/chat"), ids=lambda case: case.folder.name)
def test_the_steps_are_the_golden_stream(case: goldens.Case) -> None:
    check_steps(SPEAKER, case)
