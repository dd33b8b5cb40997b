"""The structure rules, by what they look at. Importing this package registers them all."""

from rules import code, contracts, documents, exports, format, layers, options, quartet, text

__all__ = [
    "code",
    "contracts",
    "documents",
    "exports",
    "format",
    "layers",
    "options",
    "quartet",
    "text",
]
