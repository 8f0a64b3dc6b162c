"""`knowhow nightly alert`: the Prefect server calls a web hook when a night fails."""

from datetime import timedelta
from typing import Annotated, Any, cast
from uuid import UUID

import typer

from flows.commands.views import console
from flows.nights.night import FLOW
from flows.running import server
from flows.running.children import Children

CALL, LOST = "nightly-alert", "nightly-lost"
SILENCE = timedelta(minutes=5)
GONE = "its signs of life ended; the next run goes on where it stopped"
TEXT = """{"text": {{ ("Knowhow: " ~ flow.name ~ " " ~ flow_run.state.name ~ ": "
~ (flow_run.state.message or "no message") ~ " " ~ (flow_run | ui_url)) | tojson }}}"""

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = """\b
Examples:
  knowhow nightly alert https://hooks.example.org/knowhow
  knowhow nightly alert --remove"""


@app.command(epilog=EXAMPLES)
def alert(
    url: Annotated[
        str | None, typer.Argument(help="Where JSON with a `text` is posted to.")
    ] = None,
    server_url: Annotated[str, typer.Option(help="The Prefect server.")] = "http://127.0.0.1:4200",
    is_removed: Annotated[bool, typer.Option("--remove", help="No further calls.")] = False,
) -> None:
    """Have the server call a web hook whenever a night fails, crashes, or falls silent.

    A URL replaces the one before. A night that keeps its champion has failed, too.
    """
    if (url is None) != is_removed:
        raise typer.BadParameter("give a URL, or --remove", param_hint="URL")
    if url and not url.startswith(("http://", "https://")):
        why = f"{url} is not an http address, such as https://hooks.example.org/"
        raise typer.BadParameter(why, param_hint="URL")
    with (
        console.ending_in_order(),
        Children() as children,
        server.running(children, server_url),
    ):
        _remove()
        if url:
            _add(url)
    print(f"nights that fail call {url}" if url else "nights that fail call nobody")


def _remove() -> None:
    from prefect import get_client

    with get_client(sync_client=True) as client:
        for name in (CALL, LOST):
            for automation in client.read_automations_by_name(name):
                client.delete_automation(automation.id)


def _add(url: str) -> None:
    from prefect.automations import Automation
    from prefect.blocks.webhook import Webhook

    hook = Webhook.model_validate({"url": url, "headers": {"Content-Type": "application/json"}})
    block_id = cast(UUID, hook.save(CALL, overwrite=True))
    for definition in (_call(block_id), _lost()):
        Automation.model_validate(definition).create()


def _call(block_id: UUID) -> dict[str, Any]:
    return {
        "name": CALL,
        "description": "Calls the web hook when a night fails or crashes",
        "trigger": {
            # By type: the states of nights have names of their own.
            **_trigger({"prefect.state-type": ["FAILED", "CRASHED"]}),
            "posture": "Reactive",
            "expect": {"prefect.flow-run.*"},
        },
        "actions": [{"type": "call-webhook", "block_document_id": block_id, "payload": TEXT}],
    }


def _lost() -> dict[str, Any]:
    return {
        "name": LOST,
        "description": f"A night that gives no sign of life for {SILENCE} has crashed",
        "trigger": {
            **_trigger({}),
            "posture": "Proactive",
            "after": {"prefect.flow-run.heartbeat"},
            "expect": {"prefect.flow-run.*"},
            "for_each": {"prefect.resource.id"},
            "within": SILENCE,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "name": "Crashed",
                "message": GONE,
            }
        ],
    }


def _trigger(match: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "event",
        "match": {"prefect.resource.id": "prefect.flow-run.*", **match},
        "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": FLOW},
        "threshold": 1,
    }
