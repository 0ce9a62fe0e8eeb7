"""What a model sees in images: how they are read, and what is written of them."""
