"""Sets of captioned pictures that anyone can make again."""

#: The captions of a folder's pictures, a line of JSON each; Hugging Face's `imagefolder` reads
#: this name too.
METADATA = "metadata.jsonl"
