"""What templates of arguments turn into: values that mean what their author meant, or an error that names the template.

Jinja prints ``None`` for None, and nothing for a name that is not defined, unless the DAG is strict about that; a DAG
with ``render_template_as_native_obj`` makes numbers of texts that look like some, and lets undefined names pass. Each
of these asks HoneyHive for something else than was meant, and often succeeds with other events, or none.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_honeyhive.exceptions import NOT_SHOWN, Fact, InvalidArgumentError

if TYPE_CHECKING:
    import jinja2

    from airflow_provider_honeyhive._compat import Context

#: Arguments that are texts or times: a number that native rendering makes of one is taken as the text it was.
_TEXTS = frozenset(
    {
        "project",
        "evaluation_id",
        "honeyhive_conn_id",
        "output_path",
        "output_conn_id",
        "exports_folder",
        "exports_conn_id",
        "tables",
        "tables_conn_id",
        "where",
        "start_time",
        "end_time",
    }
)

#: Arguments that have no meaning when they are empty. The others then count as not given, but not what is in a list.
_NEEDED = frozenset({"honeyhive_conn_id", "output_path", "tables"})

#: Right for None, and for what is not defined, also where the DAG is strict about that, as DAGs are by default.
_OPTIONAL = "{{ params.name | default('', true) }}"


def has_template(text: str) -> bool:
    """Return whether Jinja has something to do in a text."""
    return "{{" in text or "{%" in text


def templates_of(task: Any) -> dict[str, Any]:
    """Return the templated arguments of a task as they were given, by name: for when it is made."""
    return {name: getattr(task, name) for name in task.template_fields}


def settle_templates(task: Any, templates: Mapping[str, Any], context: Context) -> None:
    """Check what the templates of a task have turned into, and give back the texts that native rendering changed.

    :param task: rendered, as Airflow executes it.
    :param templates: what :func:`templates_of` returned.
    :param context: of the task.
    :raises InvalidArgumentError: a template prints a name that is not defined, or None, or nothing where something is
        needed; the message names the argument and how to write it.
    """
    for name, template in templates.items():
        rendered = getattr(task, name)
        settled = _Rendering(task, context, name).settle(name, template, rendered)
        if settled is not rendered:
            setattr(task, name, settled)


class _Rendering:
    """One argument, and how to render it once more as a text."""

    def __init__(self, task: Any, context: Context, argument: str) -> None:
        self._task = task
        self._context = context
        self._argument = argument

    def settle(self, place: str, template: Any, rendered: Any) -> Any:
        """Return the value to go on with.

        :param place: the argument, and where in it the template stands.
        :param template: as it was given.
        :param rendered: what Airflow made of it.
        """
        if isinstance(template, list | tuple):
            if isinstance(rendered, list | tuple) and len(rendered) == len(template):
                for number, pair in enumerate(zip(template, rendered, strict=True)):
                    self.settle(f"{place}[{number}]", *pair)
        elif isinstance(template, Mapping):
            if isinstance(rendered, Mapping):
                for key in template.keys() & rendered.keys():
                    self.settle(f"{place}[{key!r}]", template[key], rendered[key])
        elif isinstance(template, str) and has_template(template) and rendered != template:
            return self._settle_text(place, template, rendered)
        elif hasattr(template, "protocol") and has_template(str(template)) and str(rendered) != str(template):
            self._settle_text(place, str(template), str(rendered))
        return rendered

    def _settle_text(self, place: str, template: str, rendered: Any) -> Any:
        text, prints_none = self._as_text(place, template)
        if rendered is None:
            if place in _NEEDED or place.endswith("]"):
                _refuse(place, template, "give it a value: its template renders to None")
            return None
        if isinstance(rendered, str) and (prints_none or rendered.strip() == "None"):
            _refuse(place, template, f"write {_OPTIONAL} where it may be None")
        if isinstance(rendered, str) and not rendered.strip():
            if place in _NEEDED:
                _refuse(place, template, "give it a value: its template renders to an empty text")
            return ""
        is_number = isinstance(rendered, int | float)
        return text if is_number and place in _TEXTS else rendered

    def _as_text(self, place: str, template: str) -> tuple[str, bool]:
        """Return what a template prints, without Airflow's native rendering, and whether None is a part of it.

        Names that are not defined are refused.
        """
        import jinja2  # noqa: PLC0415 - DAG parsing has no use for it
        from jinja2.compiler import CodeGenerator  # noqa: PLC0415

        class UndefinedPrintedError(Exception):
            """Something undefined is printed."""

        class Undefined(jinja2.ChainableUndefined):
            """May be tested and replaced, by ``or`` and ``default``, but not printed.

            What a DAG's own ``template_undefined`` does not take, such as attributes of it, Airflow has refused.
            """

            def __str__(self) -> str:
                raise UndefinedPrintedError(self._undefined_message)

        printed: list[bool] = []

        def note(value: Any) -> Any:
            printed.append(value is None)
            return value

        environment: jinja2.Environment = self._task.get_template_env().overlay(undefined=Undefined)
        # A DAG may print None in its own way.
        environment.finalize = environment.finalize or note
        environment.code_generator_class = CodeGenerator
        environment.template_class = jinja2.Template
        try:
            compiled = environment.from_string(template)
            names = ChainMap(self._context, compiled.globals)  # type: ignore[arg-type]
            # As Airflow does it: ``render`` would look up all there is in the context.
            nodes = environment.context_class(environment, names, compiled.name, compiled.blocks)  # type: ignore[arg-type]
            return "".join(compiled.root_render_func(nodes)), any(printed)
        except UndefinedPrintedError as error:
            _refuse(place, template, f"correct the name, or write {_OPTIONAL}", f"Not defined: {error}")


def _refuse(place: str, template: str, what_to_do: str, *facts: str) -> NoReturn:
    lines = (f"The template: {template}", *facts)
    raise InvalidArgumentError(place, NOT_SHOWN, what_to_do, *map(Fact, lines)) from None
