"""Runs for notebooks: pandas tables, judgements that show themselves, plots on matplotlib axes.

from forensics import open_run

run = open_run("RUN")
run.decisions()
study = run.against("TRUTH")
study.evaluate(detector=0.25, classifier=0.5)
study.surface(level="frame").plot()
"""

from forensics.study.gallery import Gallery
from forensics.study.results import Compared, Evaluated
from forensics.study.run import Run, open_run
from forensics.study.study import Study
from forensics.study.surface import Surface

__all__ = ["Compared", "Evaluated", "Gallery", "Run", "Study", "Surface", "open_run"]
