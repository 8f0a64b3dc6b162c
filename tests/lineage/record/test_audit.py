"""What a question names: a policy, a revision, remotes."""

from lineage.record.audit import split, split_remotes


def test_a_policy_may_have_a_revision() -> None:
    assert split("i3") == ("i3", None)
    assert split("i3@HEAD@{1}") == ("i3", "HEAD@{1}")


def test_a_remote_may_have_a_name() -> None:
    assert split_remotes(["a=s3://b", "/c"]) == {"a": "s3://b", "given 1": "/c"}
