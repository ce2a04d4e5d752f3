"""Boards: a definition and records become one table of facts, which the renderers print.

``definition`` reads a board file, ``computing`` makes the `harness.board.table.BoardTable` of it
and of records; ``markdown``, ``flat`` (CSV), ``latex`` and ``json_form`` each print that table.
"""
