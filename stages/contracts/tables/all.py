"""Every table by name, for what shows any of them; a step imports the tables it touches."""

from collections.abc import Mapping

from stages.contracts.storage.contract import Table
from stages.contracts.tables.advantages import ADVANTAGES
from stages.contracts.tables.answers import ANSWERS
from stages.contracts.tables.demos import DEMOS
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.grades import GRADES
from stages.contracts.tables.ledger import LEDGER
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.tables.solutions import SOLUTIONS
from stages.contracts.tables.thoughts import THOUGHTS

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        PROBLEMS,
        SOLUTIONS,
        DEMOS,
        ROLLOUTS,
        SCORES,
        SEGMENTS,
        PROBES,
        GAINS,
        ADVANTAGES,
        LEDGER,
        THOUGHTS,
        ANSWERS,
        GRADES,
    )
}
