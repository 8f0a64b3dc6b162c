"""A group of commands whose modules are imported when it is called, and not to list it."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class Deferred(TyperGroup):
    """The commands of all `apps`, each got by calling what imports it."""

    apps: ClassVar[tuple[Callable[[], typer.Typer], ...]]

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, for help and completion."""
        return [name for group in self._groups() for name in group.list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, from the first module that has it."""
        return next((command for group in self._groups() if (command := group.get_command(ctx, cmd_name))), None)

    def _groups(self) -> Iterator[TyperGroup]:
        for app in self.apps:
            yield typer.main.get_group(app())
