"""The open inference protocol over gRPC: calls that ask the HTTP side's application."""
