"""What params.yaml may give to a checkpoint's chat template: `task.text.template_arguments`."""

from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

OWN_ARGUMENTS = {
    *("messages", "tools", "documents", "conversations", "chat_template", "add_generation_prompt"),
    *("continue_final_message", "return_assistant_tokens_mask", "strftime_now", "raise_exception"),
    *("bos_token", "eos_token", "pad_token", "unk_token"),
}
"""What every chat template is given, or the function that renders it."""


def _is_free(name: str) -> str:
    if name in OWN_ARGUMENTS:
        raise ValueError(f"a chat template is given {name} in any case; leave it out")
    return name


Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_is_free)]
TemplateArguments = dict[Name, JsonValue]
"""By the name that the template reads."""
