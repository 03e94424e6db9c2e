"""What was said in an event, as chat messages.

JSON texts of an event's fields go in, messages of OpenAI's chat format or the reason why there are none come out.
Pure Python: nothing here opens a file or asks a database.
"""
