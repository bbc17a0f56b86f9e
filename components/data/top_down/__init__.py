"""Top-down data: a demand list, what the catalogue has for it, what is missing, and prompts as people write them."""
