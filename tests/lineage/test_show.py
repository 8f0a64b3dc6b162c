"""Ancestors of a policy, in a terminal and on a page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lineage.audit import open_audit
from lineage.picture import ROW, picture
from lineage.show import page, show, text
from tests.conftest import run, succeed
from tests.lineage import chain

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
success: of all exam problems at 9 thinking tokens; – where it sat no exam.
seconds: none are known here. Unknown in whole or part for r0, i1, o1, i2, i3: they stand beside the
outputs, on the machine that ran the steps.
trained: unknown for r0, for the same reason.
"""


class Page(HTMLParser):
    """What a page has: the tags, where its links go, what can be gone to."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """The chain of the golden text."""
    steps = chain.beginning({"checkpoint": "models/base", "sha256": "ab" * 32}) | chain.exam_of(
        "r0"
    )
    steps |= (
        chain.round_of("o1", "r0", 1)
        | chain.round_of("o2", "o1", 2)
        | chain.judge_of("j1", "r0", "o2")
    )
    steps |= chain.round_of("i1", "r0", 1, recipe="information")
    steps |= chain.round_of("i2", "i1", 2, "j1", "information") | chain.round_of(
        "i3", "i2", 3, "j1", "information"
    )
    chain.write(tmp_path, steps | chain.exam_of("i3"))
    return tmp_path


def shown(repository: Path, policy: str, revision: str | None = None) -> dict[str, Any]:
    found = show(open_audit(repository, revision), policy)
    assert json.loads(json.dumps(found)) == found
    return found


def test_the_text_of_a_small_chain(judged: Path) -> None:
    commit = succeed(["git", "rev-parse", "--short=8", "HEAD"], judged).strip()
    assert chain.printed(text(shown(judged, "i3"))) == GOLDEN.replace("COMMIT--", commit)


def test_thirty_rounds_fit_a_terminal(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.chain(30))
    found = shown(tmp_path, "n30")
    assert len(found["generations"]) == 31
    lines = chain.printed(text(found)).splitlines()
    assert len(lines) < 45
    assert max(map(len, lines)) <= 100
    policies = [match[1] for line in lines if (match := re.match(r"├── (\w\d+) ", line))]
    assert policies == [*(f"n{number}" for number in range(30, 0, -1)), "r0"]
    narrow = chain.printed(text(found), columns=60)  # wrapped, nothing lost
    assert max(map(len, narrow.splitlines())) <= 60
    assert narrow.count("[.470,") == 2


def test_what_was_measured_is_shown(audited: Path) -> None:
    found = shown(audited, "s1")
    last = found["generations"][-1]
    facts = json.loads((audited / "data/policies/s1.run.json").read_text())
    assert last["seconds"]["update@s1"] == round(facts["seconds"]["total"], 1)
    assert last["known_seconds"] == pytest.approx(sum(last["seconds"].values()))
    assert "examine@s1" not in last["seconds"]
    assert last["packages"] == facts["packages"]
    assert (last["recipe"], last["judge"], last["seed"], last["reference"]) == (
        "sampled",
        "exact",
        2,
        "r0",
    )
    metrics = json.loads((audited / "data/metrics/exams/s1.json").read_text())
    assert (
        last["exam"]["levels"]["difficulty_2"]["success"]["27"]
        == metrics["difficulty_2"]["success"]["budget_27"]
    )
    first = found["generations"][0]
    assert first["tokens"] == {
        "trained": json.loads((audited / "data/policies/r0.run.json").read_text())["counts"][
            "num_tokens"
        ]
    }
    assert first["base"]["shape"]["hidden_size"] == 64
    assert "Unknown" not in chain.printed(text(found))
    assert "in all" in chain.printed(text(found))


def test_a_bare_clone_says_what_it_cannot_know(audited: Path, tmp_path: Path) -> None:
    clone = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(audited), str(clone)], tmp_path)
    here, there = shown(audited, "s1"), shown(clone, "s1")
    assert [entry["known_seconds"] for entry in there["generations"]] == [None, None, None]
    assert "Unknown in whole or part for r0, i1, s1" in " ".join(chain.printed(text(there)).split())
    kept = ("policy", "parent", "md5", "commit", "code", "environment", "exam")
    for mine, theirs in zip(here["generations"], there["generations"], strict=True):
        assert {name: mine[name] for name in kept} == {name: theirs[name] for name in kept}


def test_an_old_commit_shows_what_it_had(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.chain(1))
    chain.write(tmp_path, chain.chain(2))
    assert [entry["policy"] for entry in shown(tmp_path, "n1", "HEAD~1")["generations"]] == [
        "r0",
        "n1",
    ]
    assert shown(tmp_path, "n1", "HEAD~1")["generations"][-1]["exam"] is not None
    assert (
        shown(tmp_path, "n1")["generations"][-1]["exam"] is None
    )  # its exam is no longer in the lock


def test_a_parent_that_no_step_made_is_said_to_be_unknown(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.beginning() | chain.round_of("n2", "n1", 2))
    found = shown(tmp_path, "n2")
    assert found["generations"][-1]["parent"] is None
    assert "parent unknown: no step of dvc.lock made it" in chain.printed(text(found))
    assert "a policy that no step of dvc.lock made" in page(found)


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


def test_the_graph_has_every_ancestor_below_what_it_was_made_of(judged: Path) -> None:
    drawn = picture(shown(judged, "i3"))
    at = {place["node"].name: place for place in drawn["nodes"]}
    assert set(at) == {
        *("problems data/problems.parquet", "demonstrations r0", "base r0", "judge j1"),
        *("r0", "o1", "i1", "i2", "i3"),
    }
    assert [place["y"] for place in drawn["nodes"]] == [ROW // 2 + ROW * row for row in range(9)]
    for place in drawn["nodes"]:
        assert all(at[source]["y"] < place["y"] for source in place["node"].sources)
    assert at["judge j1"]["node"].sources == ("r0", "o1")
    assert len({at[name]["x"] for name in ("base r0", "r0", "i1", "i2", "i3")}) == 1
    assert (
        len(drawn["edges"]) == 1 + 2 + 4 + 2 + 2 + 2
    )  # demonstrations, r0, parents, of the judge, by it, held close


def test_no_two_lines_share_a_lane(judged: Path) -> None:
    """Beside the chain of parents: upright pieces of different sources must not lie on each other."""
    drawn = picture(shown(judged, "i3"))
    chain_x = min(place["x"] for place in drawn["nodes"])
    owners: dict[tuple[int, int], set[tuple[str, str]]] = {}
    for edge in drawn["edges"]:
        x, y = map(int, re.match(r"M(\d+) (\d+)", edge.path).groups())  # type: ignore[union-attr]
        for down in re.finditer(r"(?:^M|C.* )(\d+) (\d+)V(\d+)", edge.path):
            if int(down[1]) != chain_x:
                for row in range(int(down[2]), int(down[3]), ROW):
                    owners.setdefault((int(down[1]), row), set()).add((edge.kind, f"{x} {y}"))
    assert owners
    assert all(
        len(sources) == 1 or {kind for kind, _ in sources} == {"parent"}
        for sources in owners.values()
    )


def test_the_command(judged: Path, tmp_path: Path) -> None:
    command = [
        "python",
        "-m",
        "lineage",
        "show",
        "i3",
        "--repo",
        str(judged),
        "--html",
        str(tmp_path / "i3.html"),
    ]
    root = Path(__file__).parent.parent.parent
    done = run(command, root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("    policy recipe")
    assert "\x1b" not in done.stdout
    assert (tmp_path / "i3.html").read_text().startswith("<!DOCTYPE html>")
    assert json.loads(run([*command[:7], "--json"], root).stdout)["policy"] == "i3"
    unknown = run([*command[:4], "x9", *command[5:7]], root)
    assert unknown.returncode == 2
    assert (
        unknown.stderr
        == "error: no policy x9 in dvc.lock; choose from ['i1', 'i2', 'i3', 'o1', 'o2', 'r0']\n"
    )
