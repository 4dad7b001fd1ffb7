"""Figures of ctherd, measured on the real kernel: ``python -m bench`` prints and keeps them.

One module per figure, named like it; its docstring says how it is measured and what it does not
say, and is what ``docs/figures.md`` prints. Needs root. Nothing here is shipped.
"""
