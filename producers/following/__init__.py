"""Following what is published, from Python: over a stream, or over polls where none comes through."""
