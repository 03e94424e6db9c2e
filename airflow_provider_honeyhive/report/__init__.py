"""One HTML page about the tables of a build: charts and lists, without a network."""
