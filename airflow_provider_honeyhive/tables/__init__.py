"""Tables made of exports: events, sessions, model calls, scores, measurements and edges, each one SQL file."""
