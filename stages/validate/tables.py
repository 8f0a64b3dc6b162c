"""The tables of a round that the gate judges, by name."""

from collections.abc import Mapping

from stages.contracts.storage.contract import Table
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS

TABLES: Mapping[str, Table] = {
    table.name: table for table in (PROBLEMS, ROLLOUTS, SCORES, SEGMENTS, PROBES, GAINS)
}
