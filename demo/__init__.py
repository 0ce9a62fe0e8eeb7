"""A rendered supermarket of which every product is known, and a small model trained on it."""
