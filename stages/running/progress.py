"""Live progress of long work: a bar on the terminal, a small file for who watches from outside."""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm

PROGRESS_FILE = "KNOWHOW_PROGRESS_FILE"
PERIOD_SECONDS = 1.0
RANK = "RANK"  # torchrun's: of several processes the first alone shows progress


class ProgressBar:
    """A bar with percent, time left and tokens/s.

    With `KNOWHOW_PROGRESS_FILE` set, the same goes there as JSON.

    `total` and `done` count `unit`s; tokens are counted apart, by `tokens`.
    """

    def __init__(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        is_log, is_first = not os.isatty(2), os.environ.get(RANK, "0") == "0"
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=stage,
            unit=f" {unit}",
            unit_scale=True,
            mininterval=10 if is_log else 0.5,
            ascii=is_log,
            dynamic_ncols=True,
            disable=not is_first,
        )
        target = os.environ.get(PROGRESS_FILE)
        self._file = Path(target) if target and is_first else None
        self._written = 0.0
        self._tokens = 0
        self._begin = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write()
        self._bar.close()

    def add(self, amount: int) -> None:
        """`amount` more units are done."""
        self._bar.update(amount)
        self._tick()

    def tokens(self, amount: int) -> None:
        """`amount` more tokens have gone through the model."""
        self._tokens += amount
        self._bar.set_postfix_str(f"{self._rate():,.0f} tokens/s", refresh=False)
        self._tick()

    def _rate(self) -> float:
        return self._tokens / max(1e-9, time.monotonic() - self._begin)

    def _tick(self) -> None:
        if time.monotonic() - self._written > PERIOD_SECONDS:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        if self._file is None:
            return
        facts = {
            "stage": self._bar.desc,
            "done": self._bar.n,
            "total": self._bar.total,
            "rate": self._rate(),
        }
        text = json.dumps(facts)
        beside = self._file.with_suffix(".tmp")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._file)
