"""Ways to cheat, each a function of a tree; the names say what was done."""
