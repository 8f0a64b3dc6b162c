"""The nightly flow at the entrypoint that deployments name."""

from pathlib import Path

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from fixtures.checkouts import ROOT
from flows.nights.night import FLOW


def test_prefect_loads_the_flow_that_its_deployment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a worker does, and as `prefect deploy` does."""
    monkeypatch.chdir(ROOT)
    (deployment,) = yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]
    flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    assert flow.name == FLOW
    assert list(flow.parameters.properties) == ["date"]
