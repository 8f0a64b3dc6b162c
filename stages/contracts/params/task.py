"""What params.yaml says of the task: `task`."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from stages.contracts.params.base import Count, Section, Seed
from stages.contracts.params.checksum import Sha256
from stages.contracts.params.task_template import TemplateArguments

Source = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
"""A class of the user's: module, colon, name."""
Bucket = Literal[0, 1]
"""Which of the two tenths never trained on is held out, the other being reserved; see
`stages.tasks.splits`.
"""
NumReserved = Annotated[int, Field(ge=0)]
"""Problems of the reserved tenth, on which exams choose a policy's temperature."""


class VerifierClass(Section):
    """A class of the user's that verifies answers: module, colon, name; see `docs/tasks.md`.

    `sha256` is of the file that holds it.
    """

    source: Source
    sha256: Sha256


class TaskTraits(Section):
    """What a task can give and demand; each says where it differs."""

    strategies: ClassVar[tuple[str, ...]]
    """Those it has demonstrations of."""
    lists_solutions: ClassVar[bool] = False
    """Whether it can list every correct answer of a problem."""
    verifier: VerifierClass | None = None
    """Who verifies answers in the place of the task's own verifier."""

    @property
    def pays_parts(self) -> bool:
        """Whether a wrong answer may earn a part of the reward."""
        return False

    @property
    def needs_checkpoint(self) -> bool:
        """Whether its text is in the words of a policy that exists."""
        return False


class CountdownTier(Section):
    """One difficulty of Countdown: how many numbers a problem gives."""

    num_numbers: Annotated[int, Field(ge=2, le=5)]
    num_train: Count
    num_heldout: Count
    num_reserved: NumReserved


class CountdownTask(TaskTraits):
    """Reach a target with given numbers; judged by exact arithmetic on the steps.

    See `stages.tasks.countdown`. A problem's difficulty is its `num_numbers`.
    """

    name: Literal["countdown"]
    strategies: ClassVar[tuple[str, ...]] = ("direct", "revise", "parallel", "search")
    lists_solutions: ClassVar[bool] = True
    seed: Seed
    max_number: Annotated[int, Field(ge=2, le=99)]
    max_result: Annotated[int, Field(ge=10, le=999)]
    heldout_bucket: Bucket
    tiers: Annotated[list[CountdownTier], Field(min_length=1)]

    @property
    def difficulties(self) -> list[int]:
        """What `difficulty` a problem may have."""
        return [tier.num_numbers for tier in self.tiers]

    def shortest_answer_tokens(self, difficulty: int) -> int:
        """Tokens of an answer, end of text included: four for each step that joins two numbers."""
        return 4 * (difficulty - 1) + 1


class TrainedText(Section):
    """Text by a byte-level tokenizer of `vocabulary_size` tokens, trained on the task's texts."""

    needs_checkpoint: ClassVar[bool] = False
    kind: Literal["trained"]
    vocabulary_size: Annotated[int, Field(ge=261)]


class ChatText(Section):
    """Text as an existing checkpoint writes it: its tokenizer, its chat template, its stop tokens.

    A prompt is the question (behind `system`, where there is one) in the chat template, then
    `thinking_start`. Thinking ends with `thinking_end`, one token of the checkpoint's;
    `answer_start` follows it always, then the answer.
    """

    needs_checkpoint: ClassVar[bool] = True
    kind: Literal["chat"]
    system: str | None = None
    template_arguments: TemplateArguments = Field(default_factory=dict)  # enable_thinking: true
    thinking_start: str
    thinking_end: Annotated[str, Field(min_length=1)]
    answer_start: str
    segment_ends: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


Text = Annotated[TrainedText | ChatText, Field(discriminator="kind")]
"""How a task without an alphabet of its own is written. See `stages.tasks.text_format`."""


class Tier(Section):
    """One difficulty, by its own name."""

    difficulty: Annotated[int, Field(ge=0)]
    num_train: Count
    num_heldout: Count
    num_reserved: NumReserved


class TextTask(TaskTraits):
    """What tasks whose problems are texts have in common."""

    seed: Seed
    text: Text
    tiers: Sequence[Tier]

    @property
    def difficulties(self) -> list[int]:
        """What `difficulty` a problem may have."""
        return [tier.difficulty for tier in self.tiers]

    def shortest_answer_tokens(self, difficulty: int) -> int:
        """Tokens any answer needs, end of text included.

        What its texts need is known to their tokenizer only.
        """
        del difficulty
        return 2

    @property
    def needs_checkpoint(self) -> bool:
        """Whether its text is in the words of a policy that exists."""
        return self.text.needs_checkpoint


class ReasoningGymTier(Tier):
    """One difficulty of a reasoning-gym family: by its own configuration keys, or by `level`.

    `level` sets every attribute of the family's own curriculum; one with fewer levels stays at its
    highest.
    """

    config: dict[str, Any] | None = None
    level: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ReasoningGymTier":
        if (self.config is None) == (self.level is None):
            raise ValueError(f"difficulty {self.difficulty}: a tier has either config or level")
        return self


class ReasoningGymTask(TextTask):
    """Any family of reasoning-gym, as text; judged by the family's own scorer, at full score."""

    name: Literal["reasoning_gym"]
    strategies: ClassVar[tuple[str, ...]] = ("direct",)
    family: str
    partial_credit: bool = False
    """Whether a wrong answer earns, in training, the score that the family gives it; an exam pays
    right ones alone.
    """
    tiers: Annotated[list[ReasoningGymTier], Field(min_length=1)]

    @property
    def pays_parts(self) -> bool:
        """Whether a wrong answer may earn a part of the reward."""
        return self.partial_credit

    @model_validator(mode="after")
    def _scorer_pays_parts(self) -> "ReasoningGymTask":
        if self.partial_credit and self.verifier is not None:
            raise ValueError(
                "partial_credit is what the family's own scorer gives: leave out it, or verifier"
            )
        return self


class ModularTier(Section):
    """One difficulty of modular multiplication: how many factors a problem gives."""

    num_factors: Annotated[int, Field(ge=2, le=6)]
    num_train: Count
    num_heldout: Count
    num_reserved: NumReserved


class ModularTask(TaskTraits):
    """A product modulo m, the negative control; judged by the residue.

    See `stages.tasks.modular`. A problem's difficulty is its `num_factors`.
    """

    name: Literal["modular"]
    strategies: ClassVar[tuple[str, ...]] = ("direct", "revise")
    lists_solutions: ClassVar[bool] = True
    seed: Seed
    modulus: Annotated[int, Field(ge=5, le=97)]
    heldout_bucket: Bucket
    tiers: Annotated[list[ModularTier], Field(min_length=1)]

    @property
    def difficulties(self) -> list[int]:
        """What `difficulty` a problem may have."""
        return [tier.num_factors for tier in self.tiers]

    def shortest_answer_tokens(self, difficulty: int) -> int:
        """Tokens of an answer, end of text included: one residue."""
        del difficulty
        return 2


class ImportedTask(TextTask):
    """What tasks of the user's own have in common.

    `sha256` of their file says which bytes are meant.
    """

    sha256: Sha256
    max_question_characters: Count
    heldout_bucket: Bucket


class Columns(Section):
    """What a file of problems calls its columns."""

    question: str
    answer: str
    level: str | None = None
    solution: str | None = None
    """Worked reasoning, which strategy `worked` shows before the answer."""


class DatasetTier(Tier):
    """One difficulty: rows of these `levels`; without a column of levels, every row."""

    levels: Annotated[list[int | str], Field(min_length=1)] | None = None


class DatasetTask(ImportedTask):
    """Mathematics from your JSONL or Parquet file; judged exactly, by a stated grammar.

    See `stages.tasks.imported.dataset`.
    """

    name: Literal["dataset"]
    strategies: ClassVar[tuple[str, ...]] = ("direct", "worked")
    path: Annotated[str, Field(pattern=r"\.(jsonl|parquet)$")]
    columns: Columns
    tiers: Annotated[list[DatasetTier], Field(min_length=1)]

    @model_validator(mode="after")
    def _levels_have_a_column(self) -> "DatasetTask":
        if self.columns.level is None and (len(self.tiers) > 1 or self.tiers[0].levels):
            raise ValueError(
                "columns.level is absent, so tiers must be one, without levels; name the column of "
                "levels"
            )
        named = [str(level) for tier in self.tiers for level in tier.levels or []]
        if self.columns.level is not None and not all(tier.levels for tier in self.tiers):
            raise ValueError("columns.level is given, so every tier must name its levels")
        twice = sorted({level for level in named if named.count(level) > 1})
        if twice:
            raise ValueError(f"tiers: level {twice[0]} stands twice; a row has one difficulty")
        return self


class UserTask(ImportedTask):
    """A class of yours; judged by its method `verify`.

    See `stages.tasks.imported.user`. `sha256` is of the file that holds the class.
    """

    name: Literal["user"]
    strategies: ClassVar[tuple[str, ...]] = ("direct", "worked")
    lists_solutions: ClassVar[bool] = True
    source: Source
    tiers: Annotated[list[Tier], Field(min_length=1)]


TaskParams = Annotated[
    CountdownTask | ModularTask | ReasoningGymTask | DatasetTask | UserTask,
    Field(discriminator="name"),
]
