"""Run a cascade over footage into a run folder, resumably."""
