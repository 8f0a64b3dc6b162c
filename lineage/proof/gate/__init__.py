"""The gate, asked by an audit."""
