"""The live view of one host: what is known of its routers, drawn on a terminal.

Nothing here asks anybody: frames come from whoever wires the view.
"""
