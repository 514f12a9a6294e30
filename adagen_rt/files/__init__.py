"""Files and folders that appear whole or not at all, wherever they lie."""

from adagen_rt.files.checks import check_addable, check_target, check_writable
from adagen_rt.files.hashed import read_hashed, write_hashed
from adagen_rt.files.staging import create_file, replace_file, staged_files, staged_folder

__all__ = [
    "check_addable",
    "check_target",
    "check_writable",
    "create_file",
    "read_hashed",
    "replace_file",
    "staged_files",
    "staged_folder",
    "write_hashed",
]
