"""How much is read to gather evidence."""

from pathlib import Path

from lineage.proof.gathering import gather
from lineage.proof.inspection import steps_of
from lineage.record.audit import open_audit


def test_hard_links_are_read_once(tree: Path) -> None:
    audit = open_audit(tree, None)
    evidence = gather(audit, steps_of(audit, "s1"))
    distinct = {file.md5 for file in evidence.files.values()}
    assert evidence.num_files == len(distinct)
