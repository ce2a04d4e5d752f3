"""Believable comparisons of sequential recommenders."""
