"""Believable comparisons of sequential recommenders.

A method imports from ``harness.method``, ``harness.histories`` and ``harness.settings``. Nothing is
imported here: the command line fixes the number of threads before numpy is loaded.
"""
