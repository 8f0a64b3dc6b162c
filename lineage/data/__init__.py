"""What the tables, weights and metrics of a revision say."""
