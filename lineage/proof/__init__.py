"""Whether record and data can be believed: bytes, wiring, rows, history, signatures."""
