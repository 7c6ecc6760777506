"""The main job, shown: rshelve beside sqlitedict and the standard shelve, on real input.

``python -m rshelve.demo`` runs it. Each store is measured in a process of its own, so that its
memory is its own; the parent samples the child from outside.
"""
