"""Sets of captioned pictures that anyone can make again."""
