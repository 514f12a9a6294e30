"""The adaptive loop and what a caller asks of it and gets back."""
