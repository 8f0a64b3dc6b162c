"""Ancestors of a policy, in a terminal and on a page."""

import json
import re
from pathlib import Path

from fixtures.checkouts import ROOT, run, succeed
from lineage.answers.show import Ancestors, show
from lineage.record.audit import open_audit
from lineage.telling.showtext import page, text
from tests.lineage import chain
from tests.lineage.chain import Page, printed

# a chain by hand: its last two rounds were rewarded by a judge that learnt from another branch
GOLDEN = """\
    policy recipe      seed commit   code     packages trained seconds success
i3 at commit COMMIT--
├── i3     information    3 COMMIT-- 9f86b07b 08275e1d   1,800 unknown .500 [.470, .530]
│   └── judge j1 6a175d18: r0 taught on the answers of round o2, seed 5, commit COMMIT--
│       └── o1 outcome        1 COMMIT-- 9f86b07b 08275e1d   1,800 unknown –
├── i2     information    2 COMMIT-- 9f86b07b 08275e1d   1,800 unknown –
│   └── judge j1, see above
├── i1     information    1 COMMIT-- 9f86b07b 08275e1d   1,800 unknown –
├── r0     init           1 COMMIT-- a8e5d733 08275e1d unknown unknown .500 [.470, .530]
│   ├── base model: models/base, sha256 abababab
│   └── demonstrations data/demos/r0.parquet, 309cceab
└── problems data/problems.parquet, 9bc75d72: task countdown, seed 20
commit: the first whose dvc.lock has the policy. code, packages: digests of the files its steps ran
and of requirements/. trained: tokens.
success: of all exam problems at 9 thinking tokens; – where it has no exam.
seconds: none are known here. Unknown in whole or part for r0, i1, o1, i2, i3: they stand beside the
outputs, on the machine that ran the steps.
trained: unknown for r0, for the same reason.
"""


def shown(repository: Path, policy: str) -> Ancestors:
    return show(open_audit(repository, None), policy)


def test_the_text_of_a_small_chain(judged: Path) -> None:
    commit = succeed(["git", "rev-parse", "--short=8", "HEAD"], judged).strip()
    assert printed(text(shown(judged, "i3"))) == GOLDEN.replace("COMMIT--", commit)


def test_thirty_rounds_fit_a_terminal(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.chain(30))
    answer = shown(tmp_path, "n30")
    assert len(answer.generations) == 31
    lines = printed(text(answer)).splitlines()
    assert len(lines) < 45
    assert max(map(len, lines)) <= 100
    policies = [match[1] for line in lines if (match := re.match(r"├── (\w\d+) ", line))]
    assert policies == [*(f"n{number}" for number in range(30, 0, -1)), "r0"]
    narrow = printed(text(answer), columns=60)  # wrapped, nothing lost
    assert max(map(len, narrow.splitlines())) <= 60
    assert narrow.count("[.470,") == 2


def test_where_all_is_known_nothing_is_said_to_be_unknown(audited: Path) -> None:
    lines = printed(text(shown(audited, "s1")))
    assert "Unknown" not in lines
    assert "in all" in lines


def test_a_bare_clone_says_what_it_cannot_know(audited: Path, tmp_path: Path) -> None:
    clone = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(audited), str(clone)], tmp_path)
    lines = " ".join(printed(text(shown(clone, "s1"))).split())
    assert "Unknown in whole or part for r0, i1, s1" in lines


def test_a_parent_that_no_step_made_is_said_to_be_unknown(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.beginning() | chain.round_of("n2", "n1", 2))
    answer = shown(tmp_path, "n2")
    assert "parent unknown: no step of dvc.lock made it" in printed(text(answer))
    assert "a policy that no step of dvc.lock made" in page(answer)


def test_the_page_stands_alone_and_its_links_lead_somewhere(judged: Path) -> None:
    content = page(shown(judged, "i3"))
    parsed = Page(content)
    assert not {"script", "link", "img", "iframe"} & {*parsed.tags}
    assert {target[0] for target in parsed.targets} == {"#"}
    assert {target[1:] for target in parsed.targets} <= {*parsed.ids}
    assert len(parsed.ids) == len({*parsed.ids})
    assert {"r0", "i1", "i2", "i3", "o1"} <= {*parsed.ids}
    assert "default-src 'none'" in content


def test_text_on_the_page_is_escaped(tmp_path: Path) -> None:
    steps = chain.beginning({"checkpoint": "<script>alert(1)</script>", "sha256": "0" * 64})
    chain.write(tmp_path, steps)
    content = page(shown(tmp_path, "r0"))
    assert "<script" not in content
    assert "&lt;script&gt;" in content


def test_the_command(judged: Path, tmp_path: Path) -> None:
    command = ["python", "-m", "lineage", "show", "i3", "--repo", str(judged)]
    done = run([*command, "--html", str(tmp_path / "i3.html")], ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("    policy recipe")
    assert "\x1b" not in done.stdout
    assert (tmp_path / "i3.html").read_text().startswith("<!DOCTYPE html>")
    assert json.loads(run([*command, "--json"], ROOT).stdout)["policy"] == "i3"
    unknown = run([*command[:4], "x9", *command[5:]], ROOT)
    assert unknown.returncode == 2
    choices = "['i1', 'i2', 'i3', 'o1', 'o2', 'r0']"
    assert unknown.stderr == f"error: no policy x9 in dvc.lock; choose from {choices}\n"
