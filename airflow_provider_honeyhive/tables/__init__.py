"""Tables made of exports: events, sessions, model calls, scores, measurements and edges, each one SQL file.

:mod:`.build` makes and publishes them; :mod:`.columns` says what is in them.
"""
