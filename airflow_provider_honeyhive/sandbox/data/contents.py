"""What is in the events of a trace: prompts, answers, tools, costs, scores, feedback, errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.data.words import Prose

if TYPE_CHECKING:
    from random import Random


@dataclass
class Step:
    """A planned event.

    :param pace: mean and spread of the logarithm of the milliseconds it takes by itself.
    """

    event_type: str
    name: str
    pace: tuple[float, float]
    children: list[Step] = field(default_factory=list)


#: Name and price in dollars for a million tokens in and out.
MODELS = (
    ("openai", "gpt-4o-mini", 0.15, 0.60),
    ("openai", "gpt-4o", 2.50, 10.00),
    ("openai", "gpt-4.1", 2.00, 8.00),
    ("anthropic", "claude-sonnet-4", 3.00, 15.00),
    ("google", "gemini-2.0-flash", 0.10, 0.40),
)

SOURCES = ("production", "staging", "evaluation", "playground")

SOURCE_WEIGHTS = (80, 12, 6, 2)

CHAINS = ("answer_question", "rag_pipeline", "plan_and_execute", "handle_turn")

TOOLS = ("vector_search", "lookup_order", "web_search", "run_sql", "get_weather")

COMPLETIONS = ("Model Completion", "openai.chat", "rewrite_query", "generate_answer")

ERRORS = (
    "RateLimitError: Error code: 429 - {'error': {'message': 'Rate limit reached for requests'}}",
    "APITimeoutError: Request timed out.",
    "BadRequestError: maximum context length is 128000 tokens, however you requested 131072 tokens",
    "Traceback (most recent call last):\n  File \"app.py\", line 88, in answer\nKeyError: 'content'",
)

COMMENTS = ("Perfekt, danke!", "wrong order number", "👍", "too long", "did not answer my question", "很好")

COUNTRIES = ("DE", "US", "FR", "GB", "JP", "BR", "IN", "CN")

SYSTEM = "You are a careful assistant. Answer the user's question only using provided context.\n\nContext: "

ERROR_SHARE = 0.02

FEEDBACK_SHARE = 0.07

SCORED_SHARE = 0.6

#: Mean and spread of the logarithm of a text's characters: most are short, a few fill a context window.
CONTEXT = (6.5, 1.1)

ANSWER = (6.0, 0.75)

QUESTION = (4.7, 0.6)

CHUNK = (5.9, 0.5)

LONGEST = 400_000


class Contents:
    """Fills events, drawing on one random generator."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._prose = Prose(rng)

    def _text(self, size: tuple[float, float]) -> str:
        return self._prose.text(min(self._rng.lognormvariate(*size), LONGEST))

    def source(self) -> str:
        """Return where a session comes from."""
        return self._rng.choices(SOURCES, SOURCE_WEIGHTS)[0]

    def user(self) -> dict[str, Any]:
        """Return the properties of a session's user."""
        rng = self._rng
        return {
            "user": f"google-oauth2|{rng.randrange(10**20, 10**21)}",
            "country": rng.choice(COUNTRIES),
            "plan": rng.choice(("free", "team", "enterprise")),
        }

    def plan(self, most: int) -> Step:
        """Plan a session of at most so many events."""
        rng = self._rng
        session = Step("session", "chat_session", (3.0, 1.0))
        left = most - 1
        for _ in range(min(1 + int(rng.expovariate(0.8)), 12)):
            if left <= 0:
                break
            turn = Step("chain", rng.choice(CHAINS), (2.0, 1.0))
            session.children.append(turn)
            wanted = self._steps_of_turn()[: left - 1]
            turn.children.extend(wanted)
            left -= 1 + len(wanted)
        return session

    def _steps_of_turn(self) -> list[Step]:
        rng = self._rng
        tools = [Step("tool", rng.choice(TOOLS), (5.0, 0.9)) for _ in range(rng.choice((0, 1, 1, 1, 2)))]
        models = [Step("model", rng.choice(COMPLETIONS), (7.2, 0.7)) for _ in range(rng.choice((1, 1, 2, 3)))]
        return [*tools, *models]

    def fill(self, step: Step) -> dict[str, Any]:
        """Return what an event says: from ``config`` to ``metrics``."""
        rng = self._rng
        content: dict[str, Any] = getattr(self, f"_{step.event_type}")()
        content["error"] = None
        if rng.random() < ERROR_SHARE:
            content["error"], content["outputs"] = rng.choice(ERRORS), {}
        content["feedback"] = {}
        if rng.random() < FEEDBACK_SHARE:
            content["feedback"] = {"rating": rng.random() < 0.7, "comment": rng.choice(COMMENTS)}
        return content

    def _session(self) -> dict[str, Any]:
        return {
            "config": {"app": "support-bot", "version": f"1.{self._rng.randrange(40)}.0"},
            "inputs": {"question": self._text(QUESTION)},
            "outputs": {"answer": self._text(ANSWER)},
            "metadata": {"sdk": "honeyhive-python", "num_events": self._rng.randrange(2, 30)},
            "metrics": {"session_success": self._rng.random() < 0.9},
        }

    def _chain(self) -> dict[str, Any]:
        question = self._text(QUESTION)
        return {
            "config": {"retriever": "hybrid", "top_k": 5},
            "inputs": {"question": question, "chat_history": self._history(question)},
            "outputs": {"answer": self._text(ANSWER)},
            "metadata": {"git_commit": f"{self._rng.getrandbits(160):040x}"},
            "metrics": {},
        }

    def _tool(self) -> dict[str, Any]:
        rng = self._rng
        chunks = [
            {"id": f"doc-{rng.randrange(9999)}", "score": round(rng.random(), 4), "text": self._text(CHUNK)}
            for _ in range(rng.choice((1, 3, 5, 5, 8)))
        ]
        return {
            "config": {"index": "kb-2026", "embedding_model": "text-embedding-3-small"},
            "inputs": {"query": self._text(QUESTION), "top_k": len(chunks)},
            "outputs": {"chunks": chunks},
            "metadata": {"cached": rng.random() < 0.2},
            "metrics": {},
        }

    def _model(self) -> dict[str, Any]:
        rng = self._rng
        context, question, answer = self._text(CONTEXT), self._text(QUESTION), self._text(ANSWER)
        provider, model, price_in, price_out = rng.choice(MODELS)
        prompt_tokens, completion_tokens = (len(context) + len(question)) // 4 + 20, len(answer) // 4 + 1
        return {
            "config": {
                "model": model,
                "version": f"v0.{rng.randrange(9)}",
                "provider": provider,
                "hyperparameters": {
                    "temperature": rng.choice((0, 0.2, 0.7, 1)),
                    "top_p": 1,
                    "max_tokens": 1000,
                    "presence_penalty": 0,
                    "frequency_penalty": 0,
                    "stop": [],
                    "n": 1,
                },
                "template": [
                    {"role": "system", "content": SYSTEM + "{{ context }}"},
                    {"role": "user", "content": "{{question}}"},
                ],
                "type": "chat",
            },
            "inputs": {
                "context": context,
                "question": question,
                "chat_history": [{"role": "system", "content": SYSTEM + context}, *self._history(question)],
            },
            "outputs": {"role": "assistant", "content": answer},
            "metadata": {
                "cost": round((prompt_tokens * price_in + completion_tokens * price_out) / 1e6, 8),
                "completion_tokens": completion_tokens,
                "prompt_tokens": prompt_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
            "metrics": self._scores(answer) if rng.random() < SCORED_SHARE else {},
        }

    def _history(self, question: str) -> list[dict[str, str]]:
        earlier: list[dict[str, str]] = []
        for _ in range(self._rng.choice((0, 0, 0, 1, 2))):
            earlier.append({"role": "user", "content": self._text(QUESTION)})
            earlier.append({"role": "assistant", "content": self._text(ANSWER)})
        return [*earlier, {"role": "user", "content": question}]

    def _scores(self, answer: str) -> dict[str, Any]:
        return {
            "Answer Faithfulness": self._rng.choices((1, 2, 3, 4, 5), (2, 4, 10, 34, 50))[0],
            "Answer Faithfulness_explanation": self._text(QUESTION),
            "Number of words": len(answer.split()),
            "contains_pii": self._rng.random() < 0.05,
        }
