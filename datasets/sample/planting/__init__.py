"""Plant rendered hand-held objects into recorded footage, with exact truth."""
