"""From a card to a prepared data set: readers, dedup, filters, text."""
