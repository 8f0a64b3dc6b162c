"""What params.yaml says of the report: `report`."""

from stages.contracts.params.base import Count, Section


class Report(Section):
    """What the page shows beside the curves."""

    num_rollouts: Count
    training_budget_tokens: Count
