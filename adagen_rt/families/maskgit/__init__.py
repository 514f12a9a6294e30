"""MaskGIT."""
