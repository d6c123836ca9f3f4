from forensics.study import open_run as open_run

__version__: str
