"""Run suites of expectations and say what failed: the only use of a Great Expectations context.

The context lives in memory and is thrown away. Its pages (Data Docs) do not escape what they show, so text is escaped
before it enters, single values of rows are never kept, and the pages lose their scripts (`pages`).
"""

import html
import logging
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import great_expectations as gx
import pyarrow as pa
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig

from components.data.arrow import pc
from components.quality.outcome import Outcome, require_passed
from components.quality.pages import make_pages_safe
from components.quality.suites import Check

_SIGNIFICANT_DIGITS = 6
_NO_ROWS_KEPT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}


def pass_or_stop(checks: Iterable[Check], attach: Callable[[Path], None]) -> list[Outcome]:
    """The outcomes of expectations that all passed; `attach` gets the folder of their pages, passed or not.

    Raises:
        QualityError: an expectation failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        docs = Path(folder) / "data_docs"
        outcomes = judge(checks, docs)
        attach(docs)
    require_passed(outcomes)
    return outcomes


def judge(checks: Iterable[Check], docs_dir: Path | None = None) -> list[Outcome]:
    """The outcome of every expectation, in order; with `docs_dir`, pages for a person are written there."""
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("tables")
    outcomes: list[Outcome] = []
    for check in checks:
        rows = source.add_dataframe_asset(check.suite).add_batch_definition_whole_dataframe("all")
        suite = context.suites.add(gx.ExpectationSuite(name=check.suite, expectations=list(check.expectations)))
        run = context.validation_definitions.add(gx.ValidationDefinition(name=check.suite, data=rows, suite=suite))
        frame = _escaped(check.rows).to_pandas()
        result = run.run(batch_parameters={"dataframe": frame}, result_format=_NO_ROWS_KEPT)
        outcomes += [_outcome(check.suite, one) for one in result.results]
    if docs_dir is not None:
        _write_docs(context, docs_dir, outcomes)
    return outcomes


def _outcome(suite: str, result: ExpectationValidationResult) -> Outcome:
    config = result.expectation_config
    assert config is not None
    kwargs: dict[str, Any] = config.kwargs
    subject = kwargs.get("column") or ", ".join(kwargs.get("column_list", ()))
    return Outcome(
        suite=suite,
        expectation=f"{config.type}({subject})",
        passed=bool(result.success),
        observed=_observed(result),
        allowed=_allowed(kwargs),
        remedy=(config.meta or {}).get("what_to_do", ""),
    )


def _observed(result: ExpectationValidationResult) -> str:
    found: dict[str, Any] = result.result
    if "unexpected_count" in found:
        return f"{found['unexpected_count'] or 0} of {found['element_count']} rows outside"
    if found.get("observed_value") is not None:
        return f"{float(found['observed_value']):.{_SIGNIFICANT_DIGITS}g}"
    return "nothing that could be judged"


def _allowed(kwargs: dict[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    share = "" if kwargs.get("mostly", 1) == 1 else f" in {kwargs['mostly']:.4g} of the rows"
    if low is not None and high is not None:
        return f"{low:.6g} to {high:.6g}{share}"
    if low is not None:
        return f"at least {low:.6g}{share}"
    if high is not None:
        return f"at most {high:.6g}{share}"
    if "value_set" in kwargs:
        return f"one of {', '.join(map(html.unescape, kwargs['value_set']))}"
    return f"matching {kwargs['regex']}" if "regex" in kwargs else "no such row"


def _escaped(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(index)
            for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                column = pc.replace_substring(column, sign, entity)
            table = table.set_column(index, field.name, column)
    return table


def _write_docs(context: Any, docs_dir: Path, outcomes: Sequence[Outcome]) -> None:
    for site in list(context.variables.data_docs_sites):
        context.delete_data_docs_site(site)
    context.add_data_docs_site(
        "easel",
        {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs_dir)},
        },
    )
    context.build_data_docs()
    make_pages_safe(docs_dir, outcomes)
