"""The commands of ``python -m harness``, a module each: its options and what it does.

Modules import what they compute with inside ``execute``, so that every command starts at once.
"""
