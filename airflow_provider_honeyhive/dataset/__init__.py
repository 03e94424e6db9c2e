"""Training and evaluation files made of exports: chat messages as JSON Lines and Parquet."""
