"""What CONTRIBUTING says of adding things, done in a copy of a finished checkout and run there."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from transformers import PreTrainedModel

from fixtures.checkouts import run, succeed
from stages.engines.policy import load_policy
from stages.pure.losses import token_logprobs

ROUND = "i1"
NOISE_NATS = 0.004


class Copy:
    """A finished checkout of its own, to be changed."""

    def __init__(self, finished: Path, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(finished, folder, symlinks=True)
        succeed(["git", "add", "--all"], folder)
        succeed(["git", "commit", "--quiet", "--allow-empty", "--message", "finished"], folder)

    def write(self, name: str, text: str) -> None:
        """A new file."""
        path = self.folder / name
        assert not path.exists()
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Another text in the place of one that stands once."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def params(self, edit: Callable[[dict], None]) -> None:
        """An edit of params.yaml, which must still be valid."""
        path = self.folder / "params.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        edit(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        succeed(["python", "-m", "stages.contracts.params.whole"], self.folder)

    def touched(self) -> dict[str, int]:
        """Lines added to each file of code."""
        succeed(["git", "add", "--intent-to-add", "--all"], self.folder)
        stat = succeed(["git", "diff", "--numstat", "--", "*.py"], self.folder).splitlines()
        return {name: int(added) for added, _, name in (line.split("\t") for line in stat)}

    def run(self, *stages: str) -> list[str]:
        """Bring stages up to date by DVC; those that ran."""
        said = succeed(["dvc", "repro", *stages], self.folder)
        return [
            line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")
        ]

    def table(self, name: str) -> pd.DataFrame:
        """A table of the round."""
        return pd.read_parquet(self.folder / "data/rounds" / ROUND / f"{name}.parquet")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Copy:
    return Copy(finished, tmp_path / "copy")


def test_an_objective_is_a_class_a_formula_and_a_line(copy: Copy) -> None:
    """It weighs the outcome's advantage; nothing but the update runs again."""
    copy.replace(
        "stages/contracts/params/recipes/objective.py",
        "Objective = Annotated[\n    Outcome\n",
        '''class Weighed(ObjectiveTraits):
    """A = weight · A_out."""

    name: Literal["weighed"]
    weight: NotNegative


Objective = Annotated[
    Weighed
    | Outcome
''',
    )
    copy.write(
        "stages/pure/objectives/weighed.py",
        '''"""Objective `weighed`: the outcome, weighed."""

from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.outcome import outcome


def weighed(arrays: RoundArrays, weight: float) -> Advantage:
    """A = weight · A_out on every segment."""
    plain = outcome(arrays)
    return plain._replace(outcome=weight * plain.outcome)
''',
    )
    table = "stages/update/advantage.py"
    copy.replace(
        table,
        "from stages.pure.objectives.tokens import",
        "from stages.pure.objectives.weighed import weighed\n"
        "from stages.pure.objectives.tokens import",
    )
    copy.replace(table, "    Process,\n)", "    Process,\n    Weighed,\n)")
    copy.replace(table, "    Outcome: outcome,\n", "    Outcome: outcome,\n    Weighed: weighed,\n")

    def chosen(params: dict) -> None:
        recipe = params["rounds"][ROUND]["recipe"]
        settings = params["recipes"][recipe]["update"]
        settings |= {"objective": {"name": "weighed", "weight": 0.5}, "filter_groups": None}

    copy.params(chosen)
    assert {*copy.touched()} == {
        "stages/contracts/params/recipes/objective.py",
        "stages/pure/objectives/weighed.py",
        table,
    }
    assert copy.touched()[table] == 3  # two imports and the line
    assert copy.run(f"update@{ROUND}") == ["code", f"update@{ROUND}"]

    rewards = copy.table("rollouts").merge(copy.table("scores"), on="rollout_id")
    groups = rewards.groupby("problem_id")["reward"]
    spread = groups.transform("std", ddof=0) + 1e-4
    rewards["expected"] = 0.5 * (rewards["reward"] - groups.transform("mean")) / spread
    ledger = copy.table("ledger").merge(rewards, on="rollout_id")
    trained = ledger[ledger["status"] == "trained"]
    assert len(trained) > 10
    assert np.allclose(trained["mean_advantage"], trained["expected"], atol=1e-6)
    assert (ledger.loc[ledger["status"] != "trained", "expected"] == 0).all()


def test_an_estimator_is_a_class_a_function_and_a_line(copy: Copy) -> None:
    """It values a boundary by the thinking before it, and passes the gate."""
    copy.replace(
        "stages/contracts/params/recipes/probe.py",
        "Probe = Annotated[\n    SetLikelihood",
        '''class Elapsed(ProbeTraits):
    """Thinking tokens before the boundary, over `full_tokens`."""

    estimator: Literal["elapsed"]
    success_from: ClassVar[Literal["value"]] = "value"
    full_tokens: Count


Probe = Annotated[
    Elapsed | SetLikelihood''',
    )
    copy.write(
        "stages/probe/elapsed.py",
        '''"""The estimator `elapsed`: success by the thinking done."""

from stages.contracts.params.recipes.probe import Elapsed
from stages.probe.inputs import ProbeInputs, Row, probe_row


def probe_by_elapsed(inputs: ProbeInputs, settings: Elapsed) -> list[Row]:
    """The share of `full_tokens` that each boundary has behind it."""
    rows = []
    for rollout in inputs.rollouts:
        for index, boundary in enumerate(rollout.boundaries):
            value = boundary / settings.full_tokens
            rows.append(probe_row(rollout, index, settings, value=value))
    return rows
''',
    )
    table = "stages/probe/__main__.py"
    copy.replace(
        table,
        "from stages.probe.inputs import",
        "from stages.probe.elapsed import probe_by_elapsed\nfrom stages.probe.inputs import",
    )
    copy.replace(
        table, "    Critic,\n    ForcedAnswer", "    Critic,\n    Elapsed,\n    ForcedAnswer"
    )
    copy.replace(
        table,
        "    Critic: probe_by_critic,\n",
        "    Critic: probe_by_critic,\n    Elapsed: probe_by_elapsed,\n",
    )

    def chosen(params: dict) -> None:
        recipe = params["rounds"][ROUND]["recipe"]
        params["recipes"][recipe]["probe"] = {"estimator": "elapsed", "full_tokens": 64}

    copy.params(chosen)
    assert {*copy.touched()} == {
        "stages/contracts/params/recipes/probe.py",
        "stages/probe/elapsed.py",
        table,
    }
    assert copy.touched()[table] == 3
    steps = ["code", *(f"{step}@{ROUND}" for step in ("probe", "infogain", "validate"))]
    assert copy.run(f"validate@{ROUND}") == steps

    segments = copy.table("segments")
    gains = copy.table("gains").merge(segments, on=["rollout_id", "segment_index"])
    assert len(gains) > 50
    lengths = (gains["end_token"] - gains["start_token"]) / 64
    assert np.allclose(gains["progress"], lengths, atol=1e-6)
    assert (gains["stderr"] == 0).all()
    assert gains["info_gain_nats"].isna().all()


def test_another_verifier_of_a_task_is_a_file(copy: Copy) -> None:
    """It calls right what ends in an even number; attempts it knows none."""
    verifier = '''"""An answer is right that ends in an even number."""


class Even:
    def verify(self, metadata, answer):
        words = answer.split()
        if not words or not words[-1].isdigit():
            return None
        return int(words[-1]) % 2 == 0
'''
    copy.write("verifiers_of_mine/even.py", verifier)
    assert {*copy.touched()} == {"verifiers_of_mine/even.py"}
    sha256 = hashlib.sha256(verifier.encode()).hexdigest()

    def chosen(params: dict) -> None:
        source = {"source": "verifiers_of_mine.even:Even", "sha256": sha256}
        params["task"]["verifier"] = source

    copy.params(chosen)
    before = copy.table("scores")
    assert copy.run("--single-item", f"score@{ROUND}") == [f"score@{ROUND}"]
    scores = copy.table("scores")
    last = scores["answer"].str.split().str[-1]
    is_number = last.fillna("").str.fullmatch(r"\d+")
    is_even = is_number & (last.where(is_number, "1").astype(int) % 2 == 0)
    expected = np.where(is_even, "correct", np.where(is_number, "incorrect", "unparsable"))
    assert (scores["verdict"] == expected).all()
    assert (scores["verdict"] != before["verdict"]).sum() > 10
    assert copy.table("segments")["attempt_verdict"].isna().all()


SERVER = '''"""Sampling by a server that answers as OpenAI's completions do, by token ids."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request as Post
from urllib.request import urlopen

from stages.contracts.params.compute.inference import ServerEngine
from stages.contracts.render import Renderer
from stages.engines.sampler import Continuation, Request


class ServerSampler:
    """A policy behind a URL; what its cache had, it does not say."""

    def __init__(self, url: str, stop_tokens: Sequence[int]) -> None:
        self.num_prompt_tokens = self.num_cached_prompt_tokens = 0
        self._url, self._stop_tokens = url, stop_tokens

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Continuation]:
        """See `stages.engines.sampler.Sampler.sample`."""
        completions = []
        with ThreadPoolExecutor(4) as pool:
            for done in pool.map(lambda request: self._complete(request, temperature), requests):
                on_tokens(len(done.tokens))
                completions.append(done)
        self.num_prompt_tokens += sum(len(request.prompt_tokens) for request in requests)
        return completions

    def _complete(self, request: Request, temperature: float) -> Continuation:
        stop = [] if request.stop_token is None else [request.stop_token]
        asked = {
            "prompt": request.prompt_tokens,
            "max_tokens": request.max_tokens,
            "temperature": temperature,
            "seed": request.seed,
            "stop_token_ids": [*self._stop_tokens, *stop],
            "logprobs": 0,
            "return_token_ids": True,
        }
        headers = {"Content-Type": "application/json"}
        post = Post(f"{self._url}/v1/completions", json.dumps(asked).encode(), headers)
        with urlopen(post) as response:
            [choice] = json.load(response)["choices"]
        tokens = choice["token_ids"]
        is_ended = tokens[-1] in self._stop_tokens
        return Continuation(tokens, choice["logprobs"]["token_logprobs"], is_ended)


def open_sampler(policy: Path, settings: ServerEngine) -> ServerSampler:
    """The server must serve this policy."""
    return ServerSampler(settings.url, Renderer.of_policy(policy).stop_tokens)
'''


class Completions(BaseHTTPRequestHandler):
    """Answers as a server of OpenAI's kind does, by a policy read with torch.

    Its log-probabilities are a little off, as those of kernels that depend on the batch.
    """

    model: ClassVar[PreTrainedModel]
    num_asked: ClassVar[int] = 0
    lock: ClassVar[Lock] = Lock()

    def do_POST(self) -> None:
        assert self.path == "/v1/completions"
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            type(self).num_asked += 1
            tokens, logprobs = self.complete(order)
        choice = {"token_ids": tokens, "logprobs": {"token_logprobs": logprobs}}
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def complete(self, order: dict[str, Any]) -> tuple[list[int], list[float]]:
        """Draw tokens by the request's own seed."""
        generator = torch.Generator().manual_seed(order["seed"] % 2**63)
        tokens: list[int] = []
        logprobs: list[float] = []
        while len(tokens) < order["max_tokens"]:
            with torch.no_grad():
                ids = torch.tensor([[*order["prompt"], *tokens]])
                logits = self.model(input_ids=ids).logits[0, -1] / order["temperature"]
            token = int(logits.softmax(-1).multinomial(1, generator=generator))
            tokens.append(token)
            noise = NOISE_NATS * (2 * float(torch.rand(())) - 1)
            logprobs.append(float(logits.log_softmax(-1)[token]) + noise)
            if token in order["stop_token_ids"]:
                break
        return tokens, logprobs

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(copy: Copy) -> Iterator[str]:
    """The URL of a server of the round's parent policy."""
    Completions.model = load_policy(copy.folder / "data/policies/r0")
    with ThreadingHTTPServer(("127.0.0.1", 0), Completions) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_sampler_is_a_class_and_a_file(copy: Copy, served: str) -> None:
    """A server samples the round; the gate lets its log-probabilities be a little off."""
    section = "stages/contracts/params/compute/inference.py"
    copy.replace(
        section,
        "Inference = VllmEngine\n",
        '''class ServerEngine(InferenceEngine):
    """A server of the policy, elsewhere."""

    is_exact = False
    engine: Literal["server"]
    url: str


Inference = Annotated[VllmEngine | ServerEngine, Field(discriminator="engine")]
''',
    )
    copy.write("stages/engines/samplers/server.py", SERVER)

    def chosen(params: dict) -> None:
        inference = {"engine": "server", "url": served, "where": {"kind": "here"}}
        params["compute"]["inference"] = inference

    copy.params(chosen)
    assert {*copy.touched()} == {section, "stages/engines/samplers/server.py"}
    before = copy.table("rollouts")
    steps = ("rollout", "score", "probe", "infogain", "validate")
    assert copy.run(f"validate@{ROUND}") == ["code", *(f"{step}@{ROUND}" for step in steps)]
    listing = json.loads((copy.folder / "data/code/rollout.json").read_text())
    assert "stages/engines/samplers/server.py" in listing

    rollouts = copy.table("rollouts")
    assert Completions.num_asked >= len(rollouts) == len(before)
    assert (rollouts["seed"] == before["seed"]).all()
    for row in rollouts.itertuples():
        assert np.abs(row.sampler_logprobs - policy_logprobs(row)).max() < 2 * NOISE_NATS

    assert rollouts["sampler_logprobs"].map(max).max() > 0
    copy.replace(section, "    is_exact = False\n", "    is_exact = True\n")
    copy.run("--single-item", "code")
    gate = ["dvc", "repro", "--single-item", "--force", f"validate@{ROUND}"]
    assert "table rollouts, column max_logprob" in run(gate, copy.folder).stderr


def policy_logprobs(row: Any) -> np.ndarray:
    """Of a rollout's completion tokens by the policy itself; 0 where one was not sampled."""
    tokens = torch.tensor([[*row.prompt_tokens, *row.completion_tokens]])
    with torch.no_grad():
        logits = Completions.model(input_ids=tokens[:, :-1]).logits / row.temperature
    logprobs = token_logprobs(logits, tokens[:, 1:])[0, len(row.prompt_tokens) - 1 :].numpy()
    return np.where(row.token_origin == 0, logprobs, 0)


def test_a_nullable_column_is_a_line_of_its_schema_its_writer_and_its_reader(copy: Copy) -> None:
    """The mean log-probability of what was sampled, for the update's metrics."""
    schema, writer = "stages/contracts/tables/rollouts.py", "stages/rollout.py"
    columns, reader = "stages/update/round_tables.py", "stages/update/metrics.py"
    copy.replace(
        schema,
        '    column("temperature", FLOAT, "sampling temperature"),\n',
        '    column("temperature", FLOAT, "sampling temperature"),\n'
        '    column("mean_logprob_nats", FLOAT, "of its sampled tokens", nullable=True),\n',
    )
    copy.replace(
        writer,
        '        "finish_reason": trace.finish_reason,\n',
        '        "finish_reason": trace.finish_reason,\n'
        '        "mean_logprob_nats": sum(trace.logprobs) / trace.origin.count(0),\n',
    )
    copy.replace(
        columns,
        '"token_origin", "finish_reason"',
        '"token_origin", "finish_reason", "mean_logprob_nats"',
    )
    copy.replace(
        reader,
        'return {"mean_credit_frac"',
        'known = floats(tables.rollouts["mean_logprob_nats"]).mean()\n'
        '    told = {"mean_logprob_nats": None if np.isnan(known) else known}\n'
        '    return {**told, "mean_credit_frac"',
    )
    copy.replace(reader, "import RoundTables", "import RoundTables, floats")
    assert {*copy.touched()} == {schema, writer, columns, reader}

    def told() -> float | None:
        metrics = json.loads((copy.folder / f"data/metrics/updates/{ROUND}.json").read_text())
        return metrics["mean_logprob_nats"]

    copy.run("--single-item", "code")
    copy.run("--single-item", f"update@{ROUND}")
    assert told() is None  # rollouts from before have no such column
    before = copy.table("rollouts")

    copy.run("--single-item", f"rollout@{ROUND}")
    copy.run("--single-item", f"update@{ROUND}")
    rollouts = copy.table("rollouts")
    assert rollouts.drop(columns="mean_logprob_nats").equals(before)
    sampled = rollouts["sampler_logprobs"].map(sum) / rollouts["token_origin"].map(
        lambda o: sum(o == 0)
    )
    assert np.allclose(rollouts["mean_logprob_nats"], sampled, atol=1e-6)
    assert told() == pytest.approx(sampled.mean(), abs=1e-6)
