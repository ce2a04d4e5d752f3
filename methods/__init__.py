"""Methods under test: one file or folder each; a leading underscore marks shared code."""
