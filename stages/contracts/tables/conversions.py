"""How older files of an exam are read: they had one temperature, and did not say which."""

import numpy as np
import pyarrow as pa

from stages.contracts.storage.contract import FLOAT, Conversion

ONLY_TEMPERATURE = 1.0


def temperature_of_older(rows: pa.Table) -> pa.Array:
    """The temperature of each row, from before exams had several."""
    return pa.array(np.full(rows.num_rows, ONLY_TEMPERATURE), FLOAT)


TEMPERATURE_OF_OLDER = Conversion("temperature", ("sample_index",), temperature_of_older)
