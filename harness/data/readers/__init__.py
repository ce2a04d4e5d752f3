"""Readers: source files of one kind to an event table and an item table."""
