"""Very many images, in shards: each whole or not there, whoever makes it and whenever."""
