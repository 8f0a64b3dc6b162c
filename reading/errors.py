"""What a reader is told when it asks for what is not there."""


class NotThere(Exception):
    """There is no such source, rollout or column, or the SQL is refused; says what there is."""
