"""Text that looks like what people and models write: prose of any length, cut from one long corpus."""

# ruff: noqa: RUF001 - the odd characters are the point

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from functools import cache
from itertools import accumulate
from random import Random

from airflow_provider_honeyhive.sandbox.times import EPOCH, datetime_us

#: Traffic by hour of the day, UTC.
BY_HOUR = (2, 1, 1, 1, 1, 2, 5, 12, 24, 32, 36, 34, 26, 30, 36, 37, 34, 26, 16, 11, 9, 7, 5, 3)

WEEKEND_SHARE = 0.35

HOUR_MS = 3_600_000


class Calendar:
    """Random times in whole milliseconds within ``[start, end)``.

    :raises ValueError: if there is no whole millisecond in between.
    """

    def __init__(self, start: datetime, end: datetime) -> None:
        self.first = -(-datetime_us(start) // 1000)
        self.last = (datetime_us(end) - 1) // 1000
        if self.last < self.first:
            raise ValueError(f"no time in [{start}, {end})")
        self._begins: list[int] = []
        self._ends: list[int] = []
        weights: list[float] = []
        for hour in range(self.first // HOUR_MS, self.last // HOUR_MS + 1):
            begin, stop = max(self.first, hour * HOUR_MS), min(self.last + 1, (hour + 1) * HOUR_MS)
            at = EPOCH + timedelta(hours=hour)
            share = WEEKEND_SHARE if at.weekday() >= 5 else 1.0
            self._begins.append(begin)
            self._ends.append(stop)
            weights.append(share * BY_HOUR[at.hour] * (stop - begin))
        self._cumulated = list(accumulate(weights))

    def draw(self, rng: Random) -> int:
        """Return one time in milliseconds since the epoch."""
        (n,) = rng.choices(range(len(self._begins)), cum_weights=self._cumulated)
        return rng.randrange(self._begins[n], self._ends[n])


_VOCABULARY = """
the to and a of is in for you your that it on with this can be are we or as if not from have at will an
by our please account order invoice payment refund customer plan subscription card billing address team
request response error token limit rate model prompt context document answer question policy section
according provided information following steps first then next finally click settings dashboard export
data file upload download report user admin permission role access key secret webhook endpoint integration
API version release update deployment environment production staging test change previous current new old
number date month year day hours minutes amount total price discount tax currency EUR USD transfer bank
delivery shipping package warehouse tracking status pending completed cancelled failed returned received
contact support agent ticket priority issue problem solution workaround known reported resolved investigate
because however therefore although while when where which who what how why also only just more than less
about between during before after within without across through each every any some all both either
summary details example result table row column value field name type list item index search query filter
retrieved chunk source reference page paragraph sentence score relevance confidence similarity ranked
contract clause party agreement liability terms notice renewal termination effective obligations
patient appointment insurance claim coverage deductible provider medication dosage symptoms
flight booking hotel reservation passenger luggage gate departure arrival delay rebook itinerary
function class variable loop exception stack trace import module package install command terminal output
memory latency throughput cache database schema migration backup replica cluster node region availability
"""

WORDS = _VOCABULARY.split()

#: What an export must carry unharmed: other scripts, accents, emoji, quotes, markup, line breaks.
SPICE = (
    "Könnten Sie mir bitte die Rechnung für März noch einmal schicken?",
    "Je n'arrive pas à me connecter à mon compte depuis hier, c'est gênant.",
    "请问我的订单什么时候可以发货？我已经等了三天了。",
    "注文のキャンセルはまだ可能でしょうか？よろしくお願いいたします。",
    "Здравствуйте, верните, пожалуйста, деньги за заказ № 4711.",
    "أريد تغيير عنوان التسليم من فضلك.",
    "Thanks a lot 🙏🎉 that solved it!",
    'He said: "no later than 5 % off – or I\'m out…"',
    "\n\n- first point\n- second point\n- third point\n\n",
    '\n```python\nfor row in rows:\n    total += row["amount"]\n```\n',
    "Total: €1.299,00 (incl. 19 % VAT) → due on 2026‑11‑30.",
    "C:\\Users\\anna\\Documents\\report_v2.xlsx\tSheet1!A1",
    "<p>Dear customer,<br/>your &amp; our data are safe.</p>",
)

SENTENCES = 12_000

SPICE_SHARE = 0.04


@cache
def _corpus() -> tuple[str, list[int]]:
    """Return the corpus, made once and always the same, and where its sentences begin."""
    rng = Random(0)
    # Words are used as unevenly as in any language; so texts compress as texts do.
    weights = [1 / (rank + 3) for rank in range(len(WORDS))]
    lengths = rng.choices(range(5, 22), k=SENTENCES)
    words = iter(rng.choices(WORDS, weights, k=sum(lengths)))
    sentences = [" ".join(next(words) for _ in range(length)).capitalize() + "." for length in lengths]
    for place in rng.sample(range(SENTENCES), int(SENTENCES * SPICE_SHARE)):
        sentences[place] = rng.choice(SPICE)
    begins = list(accumulate((len(sentence) + 1 for sentence in sentences), initial=0))
    return " ".join(sentences), begins


class Prose:
    """Texts of a wanted length, different each time, the same for the same generator state."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._corpus, self._begins = _corpus()

    def text(self, length: float) -> str:
        """Return whole sentences of about so many characters (at least one sentence)."""
        last = len(self._corpus) - min(int(length), len(self._corpus) // 2)
        first = self._rng.randrange(max(1, bisect_right(self._begins, last) - 1))
        begin = self._begins[first]
        end = self._begins[max(first + 1, bisect_right(self._begins, begin + length) - 1)]
        return self._corpus[begin : end - 1]
