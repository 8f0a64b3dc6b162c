"""The nightly flow where deployments look for it: `flows/nightly.py:nightly` (prefect.yaml)."""

from flows.nights.flow import nightly

__all__ = ["nightly"]
