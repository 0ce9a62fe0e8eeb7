"""The commands of `nightshelf`, a file per noun, with no logic in them."""
