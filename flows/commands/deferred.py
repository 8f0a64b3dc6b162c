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
        names = []
        for group in self._groups():
            names += group.list_commands(ctx)
        return names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, from the first module that has it."""
        for group in self._groups():
            if command := group.get_command(ctx, cmd_name):
                return command
        return None

    def _groups(self) -> Iterator[TyperGroup]:
        for app in self.apps:
            yield typer.main.get_group(app())
