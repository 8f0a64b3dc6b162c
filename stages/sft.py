"""Train an initial policy on demonstrations, from random weights or from an existing policy.

Reads   problems, demos; params.yaml `compute.training`, `inits.<init>`, and the policy folder that
        its `model.checkpoint` may name.
Writes  a policy folder: safetensors weights, configuration, tokenizer; metrics of the loss.
Method  Next-token loss on the completion only (`stages.engines.training.imitation`), weighted by
        what a token is: the policy's own verdicts are rare and worth most.

Example: python -m stages.sft --init r0 --problems data/problems.parquet \
         --demos data/demos/r0.parquet --policy data/policies/r0 \
         --metrics data/metrics/sft/r0.json --code data/code/sft.json
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from unicodedata import normalize

from transformers import PreTrainedModel

from stages.contracts.params.base import Seed, read_section
from stages.contracts.params.compute.training import Training
from stages.contracts.params.inits.model import Model, ModelShape
from stages.contracts.params.inits.sft import LossWeights, Sft
from stages.contracts.params.task import TaskParams
from stages.contracts.render import BOS, Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.demos import DEMOS
from stages.engines.adapters import adapt
from stages.engines.checkpoints import checkpoint_renderer, find_checkpoint, load_checkpoint
from stages.engines.computing import use_threads
from stages.engines.new_policy import new_policy
from stages.engines.policy import save_policy
from stages.engines.positions import need_positions
from stages.engines.starts.trial import need_tractable
from stages.engines.training import imitation, ranks
from stages.engines.training.imitation import WeightedText
from stages.engines.training.trainer import Trainer, set_up
from stages.running.errors import BadInput, command
from stages.running.publish import RunFacts, atomic, write_json
from stages.running.scratch import scratch
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.task_format import TaskFormat


def main(
    init: str,
    problems: Path,
    demos: Path,
    policy: Path,
    metrics: Path,
    code: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Train the initial policy of one init."""
    seed: int = read_section(params_file, f"inits.{init}.seed", Seed)
    start: Model = read_section(params_file, f"inits.{init}.model", Model)
    settings: Sft = read_section(params_file, f"inits.{init}.sft", Sft)
    training: Training = read_section(params_file, "compute.training", Training)
    facts = RunFacts("sft")
    form = load_format(read_section(params_file, "task", TaskParams))
    shown = read_table(demos, DEMOS)
    drawn = {p.problem_id: p.prompt for p in read_problems(problems)}
    prompts = {p.problem_id: p.prompt for p in read_problems(problems, split="train")}
    texts = shown["text"].to_pylist()
    checkpoint = None if isinstance(start, ModelShape) else find_checkpoint(start)
    renderer = load_renderer(checkpoint, form, [*prompts.values(), *texts], [*drawn.values()])
    demo_prompts = [prompts[problem_id] for problem_id in shown["problem_id"].to_pylist()]
    examples = render(form, renderer, demo_prompts, texts, settings.loss_weights)
    use_threads()

    starts = [checkpoint] if checkpoint else []
    inputs = [code, problems, demos, *starts]
    unfinished_key = [seed, start.model_dump(), settings.model_dump(), training.of_a_run()]
    with (
        ranks.processes("sft", training.num_processes),
        scratch(scratch_root, f"sft-{init}", unfinished_key, inputs) as unfinished,
    ):
        model = load_model(start, checkpoint, form, renderer, seed)
        limit = getattr(model.config, "max_position_embeddings", None)
        need_positions(f"inits.{init}", limit, max(len(each.tokens) for each in examples))
        adapt(model, settings.lora, seed, f"inits.{init}.sft.lora")
        set_up(model, training)
        trainer = Trainer(model, settings.optimizer)
        with facts.phase("training"):
            imitation.train(
                "sft", trainer, examples, settings, training.precision, seed, unfinished
            )
        ranks.gather_on_first(model)
        with atomic(policy) as beside:
            save_policy(model, renderer, beside, *starts)
        write_json(metrics, imitation.summary(trainer.history))
    facts.count(num_tokens=sum(len(e.tokens) for e in examples) * settings.epochs)
    facts.write(policy)


def load_renderer(
    checkpoint: Path | None, form: TaskFormat, texts: Sequence[str], questions: Sequence[str] = ()
) -> Renderer:
    """The task's own tokenizer for a new policy; an existing one brings its own.

    Raises:
        BadInput: the existing one cannot write this task's texts, or not the cue in one token, or
            does not put each question whole.
    """
    if checkpoint is None:
        return Renderer.made_here(form.tokenizer(texts), form.prompting)
    need_tractable(checkpoint, form.prompting, texts, questions)
    renderer = checkpoint_renderer(checkpoint, form.prompting)
    words = [word for text in texts for word in text.replace(form.cue, " ").split()]
    lost = lost_words(renderer, [*form.segment_ends, *words])
    if lost:
        raise BadInput(
            f"checkpoint {checkpoint}: its tokenizer gives {len(lost)} word(s) of this task back "
            f"as something else; first {lost[0]!r}; start from a policy of this task, or give the "
            "init a model's shape"
        )
    renderer.cue_tokens(form)
    if form.prompting is not None:
        try:
            renderer.need_whole_prompts(form.thinking_end, questions)
        except BadInput as error:
            raise BadInput(f"checkpoint {checkpoint}: {error}") from None
    return renderer


def load_model(
    start: Model, checkpoint: Path | None, form: TaskFormat, renderer: Renderer, seed: int
) -> PreTrainedModel:
    """What training starts from: random weights, or those of an existing policy."""
    if isinstance(start, ModelShape):
        return new_policy(start, renderer, form.token_values, seed)
    assert checkpoint is not None
    return load_checkpoint(checkpoint, renderer)


def lost_words(renderer: Renderer, words: Iterable[str]) -> list[str]:
    """Words that do not come back as they were written, sorted.

    A letter and its accent may come back as one sign.
    """
    return sorted(
        word
        for word in set(words)
        if _composed(renderer.decode(renderer.encode(word))) != _composed(word)
    )


def _composed(text: str) -> str:
    return normalize("NFC", text.removeprefix(BOS))


def render(
    form: TaskFormat,
    renderer: Renderer,
    prompts: Sequence[str],
    texts: Sequence[str],
    weights: LossWeights,
) -> list[WeightedText]:
    """Tokens and loss weights of each demonstration; prompt tokens weigh nothing.

    The cue's first token weighs as an attempt does: where it stands another attempt could begin,
    and a choice between tokens of different weights is learnt at the wrong odds. The rest of the
    cue is never the policy's to write.
    """
    cue_tokens = renderer.cue_tokens(form)
    cue_weights = [weights.attempt] + [0.0] * (len(cue_tokens) - 1)
    verdicts = {token for word in form.self_verdicts for token in renderer.encode(word)}
    examples = []
    for prompt, text in zip(prompts, texts, strict=True):
        thinking, _, answer = text.rpartition(form.cue)
        prompt_tokens, thought = renderer.prompt_tokens(prompt), renderer.encode(thinking)
        answered = [*renderer.encode(answer), renderer.eos_token]
        thought_weights = [weights.verdict if t in verdicts else weights.attempt for t in thought]
        examples.append(
            WeightedText(
                [*prompt_tokens, *thought, *cue_tokens, *answered],
                [0.0] * len(prompt_tokens)
                + thought_weights
                + cue_weights
                + [weights.answer] * len(answered),
            )
        )
    return examples


if __name__ == "__main__":
    command(main, writes=("policy", "metrics"))
