"""Search: choosing which archs to evaluate next, again and again."""
