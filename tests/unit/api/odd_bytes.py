"""Events whose bytes JSON allows, or servers send all the same, and which stay as they are on their way to a file."""

from __future__ import annotations

#: Python makes no number of so many digits.
DIGITS = b"7" * 5_000

ODD_EVENTS = {
    "a 30-digit integer": b'{"event_id":"e","start_time":1,"n":123456789012345678901234567890}',
    "a 17-digit float": b'{"event_id":"e","start_time":1,"n":0.12345678901234567}',
    "an integer of 5,000 digits": b'{"event_id":"e","start_time":1,"n":-%b}' % DIGITS,
    "such an integer, and what is no number": b'{"event_id":"e","start_time":1,"n":[%b],"m":NaN}' % DIGITS,
    "an exponent": b'{"event_id":"e","start_time":1,"n":1E400}',
    "escapes as they are": b'{"event_id":"e","start_time":1,"t":"\\u00e9\\/\\t\\u2028"}',
    "line separators as they are": '{"event_id":"e","start_time":1,"t":"\u2028\u2029"}'.encode(),
    "half an emoji": b'{"event_id":"e","start_time":1,"t":"cut \\ud83d"}',
    "the other half": b'{"event_id":"e","start_time":1,"t":"\\ude00 cut"}',
    "half an emoji in a key": b'{"event_id":"e","start_time":1,"\\ud83d":1}',
    "duplicate keys": b'{"event_id":"e","start_time":1,"a":1,"a":2}',
    "no number": b'{"event_id":"e","start_time":1,"n":NaN,"m":-Infinity}',
    "bytes that are no UTF-8": b'{"event_id":"e","start_time":1,"t":"\xff\xfe"}',
    "unknown fields": b'{"event_id":"e","start_time":1,"new_in_2027":{"a":[1,{}]}}',
    "50,000 levels": b'{"event_id":"e","a":' + b'[{"b":' * 25_000 + b'"}]"' + b"}]" * 25_000 + b',"start_time":1}',
    "a text of 3 MB": b'{"event_id":"e","start_time":1,"t":"' + b"x" * 3_000_000 + b'"}',
}
