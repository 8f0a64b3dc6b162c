"""What a chat template may be given: names of its own, and what JSON can hold."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from stages.contracts.params.task_template import OWN_ARGUMENTS, TemplateArguments

ARGUMENTS = TypeAdapter(TemplateArguments)


def test_arguments_are_kept_as_they_are() -> None:
    given = {"enable_thinking": True, "effort": "low", "depth": 2, "more": {"a": [None, 0.5]}}
    assert ARGUMENTS.validate_python(given) == given


@pytest.mark.parametrize("given", [*({name: 1} for name in OWN_ARGUMENTS), {"a b": 1}, {"a": {1}}])
def test_what_a_template_is_given_anyway_and_what_has_no_name_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        ARGUMENTS.validate_python(given)
