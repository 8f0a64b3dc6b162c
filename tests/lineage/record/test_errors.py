"""How findings and counts read."""

from lineage.record.errors import Finding, counted, first_few


def test_a_finding_reads_from_rule_to_thing() -> None:
    finding = Finding("rows", "score@i1", "2 rewards are wrong")
    assert str(finding) == "rows: score@i1: 2 rewards are wrong"
    assert sorted([finding, Finding("bytes", "z", "")])[0].check == "bytes"


def test_counts_and_lists_are_short() -> None:
    assert (counted(1, "file"), counted(1200, "file")) == ("1 file", "1,200 files")
    assert first_few(["a", "b"]) == "a, b"
    assert first_few(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert first_few(list("abcdefg"), 6) == "a, b, c, d, e, f and 1 more"
