"""Train an initial policy on demonstrations, from random weights or from an existing policy.

Reads   problems, demos; params.yaml `compute.training`, `inits.<init>`, and the policy folder that its
        `model.checkpoint` may name.
Writes  a policy folder: safetensors weights, configuration, tokenizer; metrics of the loss.
Method  Next-token loss on the completion only (`stages.engines.imitation`), weighted by what a token is: the policy's
        own verdicts are rare and worth most.

Example: python -m stages.sft --init r0 --problems data/problems.parquet --demos data/demos/r0.parquet \
         --policy data/policies/r0 --metrics data/metrics/sft/r0.json
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from unicodedata import normalize

from transformers import PreTrainedModel

from stages.contracts import params, tables
from stages.contracts.errors import BadInput, command
from stages.contracts.facts import RunFacts
from stages.contracts.init_params import Init, LossWeights, ModelShape
from stages.contracts.params import Params
from stages.contracts.publish import atomic, scratch, write_json
from stages.contracts.render import BOS, Renderer
from stages.engines import imitation, ranks
from stages.engines.adapters import adapt
from stages.engines.checkpoints import checkpoint_renderer, find_checkpoint, load_checkpoint
from stages.engines.computing import set_up
from stages.engines.imitation import Example
from stages.engines.policy import new_policy, save_policy
from stages.engines.trainer import Trainer, use_threads
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.task import Format


def main(
    init: str,
    problems: Path,
    demos: Path,
    policy: Path,
    metrics: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Train the initial policy of one init."""
    everything = params.load(params_file)
    settings, training = everything.inits[init], everything.compute.training
    facts = RunFacts("sft")
    form = load_format(everything.task)
    shown = tables.read(demos, tables.DEMOS)
    prompts = {p.problem_id: p.prompt for p in read_problems(problems, split="train")}
    texts = shown["text"].to_pylist()
    checkpoint = None if isinstance(settings.model, ModelShape) else find_checkpoint(settings.model)
    renderer = load_renderer(checkpoint, form, [*prompts.values(), *texts])
    asked = [prompts[problem_id] for problem_id in shown["problem_id"].to_pylist()]
    examples = render(form, renderer, asked, texts, settings.sft.loss_weights)
    cue = renderer.cue_tokens(form)
    num_prompt_tokens = max(len(renderer.prompt_tokens(prompt)) for prompt in prompts.values())
    use_threads()

    starts = [checkpoint] if checkpoint else []
    inputs = [problems, demos, *starts]
    with (
        ranks.processes("sft", training.num_processes),
        scratch(scratch_root, f"sft-{init}", [settings.model_dump(), training.of_a_run()], inputs) as unfinished,
    ):
        model = load_model(settings, checkpoint, form, renderer)
        needed = max(
            num_prompt_tokens + longest_completion(everything, init, len(cue)), *(len(e.tokens) for e in examples)
        )
        need_positions(init, getattr(model.config, "max_position_embeddings", None), needed)
        adapt(model, settings.sft.lora, settings.seed, f"inits.{init}.sft.lora")
        set_up(model, training)
        trainer = Trainer(model, settings.sft.optimizer)
        with facts.phase("training"):
            imitation.train("sft", trainer, examples, settings.sft, training.precision, settings.seed, unfinished)
        ranks.gather(model)
        with atomic(policy) as beside:
            save_policy(model, renderer, beside, *starts)
        write_json(metrics, imitation.summary(trainer.history))
    facts.count(num_tokens=sum(len(e.tokens) for e in examples) * settings.sft.epochs)
    facts.write(policy)


def load_renderer(checkpoint: Path | None, form: Format, texts: Sequence[str]) -> Renderer:
    """The task's own tokenizer for a new policy; an existing one brings its own.

    Raises:
        BadInput: the existing one cannot write this task's texts, or not the cue in one token.
    """
    if checkpoint is None:
        return Renderer.made_here(form.tokenizer(texts), form.prompting)
    renderer = checkpoint_renderer(checkpoint, form.prompting)
    words = [word for text in texts for word in text.replace(form.cue, " ").split()]
    lost = lost_words(renderer, [*form.segment_ends, *words])
    if lost:
        raise BadInput(
            f"checkpoint {checkpoint}: its tokenizer gives {len(lost)} word(s) of this task back as "
            f"something else; first {lost[0]!r}; start from a policy of this task, or give the init a model's shape"
        )
    renderer.cue_tokens(form)
    return renderer


def load_model(settings: Init, checkpoint: Path | None, form: Format, renderer: Renderer) -> PreTrainedModel:
    """What training starts from: random weights, or those of an existing policy."""
    if isinstance(settings.model, ModelShape):
        return new_policy(settings.model, renderer, form.token_values, settings.seed)
    assert checkpoint is not None
    return load_checkpoint(checkpoint, renderer)


def lost_words(renderer: Renderer, words: Iterable[str]) -> list[str]:
    """Words that do not come back as they were written, sorted; a letter and its accent may come back as one sign."""
    return sorted(word for word in set(words) if _composed(renderer.decode(renderer.encode(word))) != _composed(word))


def _composed(text: str) -> str:
    return normalize("NFC", text.removeprefix(BOS))


def longest_completion(everything: Params, init: str, num_cue_tokens: int) -> int:
    """Tokens behind a prompt, at most: thinking, cue and answer of the exam, and of the rounds that begin at `init`."""
    rounds = [entry for name, entry in everything.rounds.items() if init in everything.ancestors(name)]
    rollouts = [everything.recipes[entry.recipe].rollout for entry in rounds]
    exam = everything.exam
    lengths = [(exam.budgets_tokens[-1], exam.answer_tokens), *((r.budget_tokens, r.answer_tokens) for r in rollouts)]
    return max(budget + num_cue_tokens + answer for budget, answer in lengths)


def need_positions(init: str, max_positions: int | None, num_tokens: int) -> None:
    """Refuse a policy too short for what it will be asked; one without a limit of its own has None.

    Raises:
        BadInput: its positions are fewer than `num_tokens`.
    """
    if max_positions is not None and max_positions < num_tokens:
        raise BadInput(
            f"init {init}: a policy of {max_positions} positions cannot hold the {num_tokens} tokens of its longest "
            f"prompt and completion; lower the budgets in params.yaml, or start from a longer model"
        )


def render(
    form: Format, renderer: Renderer, prompts: Sequence[str], texts: Sequence[str], weights: LossWeights
) -> list[Example]:
    """Tokens and loss weights of each demonstration; prompt tokens weigh nothing.

    The cue's first token weighs as an attempt does: where it stands another attempt could begin, and a choice between
    tokens of different weights is learnt at the wrong odds. The rest of the cue is never the policy's to write.
    """
    cue_tokens = renderer.cue_tokens(form)
    cue_weights = [weights.attempt] + [0.0] * (len(cue_tokens) - 1)
    verdicts = {token for word in form.self_verdicts for token in renderer.encode(word)}
    examples = []
    for prompt, text in zip(prompts, texts, strict=True):
        thinking, _, answer = text.rpartition(form.cue)
        asked, thought = renderer.prompt_tokens(prompt), renderer.encode(thinking)
        answered = [*renderer.encode(answer), renderer.eos_token]
        thought_weights = [weights.verdict if t in verdicts else weights.attempt for t in thought]
        examples.append(
            Example(
                [*asked, *thought, *cue_tokens, *answered],
                [0.0] * len(asked) + thought_weights + cue_weights + [weights.answer] * len(answered),
            )
        )
    return examples


if __name__ == "__main__":
    command(main)
