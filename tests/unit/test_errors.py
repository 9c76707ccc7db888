"""Each error says how the program ends, and crosses threads and hosts whole."""

import pickle

import pytest

from stalker import errors
from stalker.model.diagnostics import Place, Problem

EXIT_CODES = {
    errors.StalkerError: 1,
    errors.FilesError: 2,
    errors.ArgumentsError: 2,
    errors.PlanError: 2,
    errors.StepFailed: 1,
    errors.InputChanged: 1,
    errors.LockHeld: 1,
    errors.NeedsRepair: 1,
    errors.EngineError: 1,
    errors.NoEngine: 3,
    errors.NotThere: 1,
    errors.EngineFull: 1,
    errors.InputError: 4,
    errors.NotGenuine: 4,
    errors.NotReached: 4,
    errors.NoRoom: 4,
    errors.Interrupted: 130,
}

PROBLEMS = (
    Problem(Place("stalks/web/web.hjson", 14, 5, "plugins.install.use"), "no such plugin", "did you mean x?"),
    Problem(Place("trees/t/t.hjson"), "the folder is not there", is_warning=True),
)


def all_kinds(kind=errors.StalkerError):
    return [kind, *(one for below in kind.__subclasses__() for one in all_kinds(below))]


def example(kind):
    if issubclass(kind, errors.FilesError):
        return kind(PROBLEMS)
    return kind("web:install failed with exit code 7", "line 1\nline 2", "./stalker log web:install")


def test_the_table_above_has_every_error():
    """A new error class gets an exit code on purpose, not by chance."""
    ours = {kind for kind in all_kinds() if kind.__module__ == "stalker.errors"}

    assert ours == set(EXIT_CODES)


@pytest.mark.parametrize("kind", EXIT_CODES, ids=lambda kind: kind.__name__)
def test_each_error_has_the_exit_code_of_the_contract(kind):
    """A CI job can tell a failed step from wrong files from an engine that is not there."""
    assert kind.exit_code == EXIT_CODES[kind]


@pytest.mark.parametrize("kind", EXIT_CODES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_pickles_with_all_its_parts(kind, protocol):
    """What went wrong on a worker is read here word for word."""
    error = example(kind)
    error.step = "web:install"

    again = pickle.loads(pickle.dumps(error, protocol))

    assert type(again) is kind
    assert (again.brief, again.details, again.resolution) == (error.brief, error.details, error.resolution)
    assert str(again) == str(error) == error.brief
    assert again.step == "web:install"
    assert vars(again) == vars(error)


def test_problems_in_files_are_counted_and_all_reported():
    """Ten mistakes take one run to find, not ten."""
    error = errors.FilesError(PROBLEMS)

    assert error.brief == "2 problems in the files"
    assert error.details.splitlines() == [
        "stalks/web/web.hjson:14:5: plugins.install.use: no such plugin",
        "  did you mean x?",
        "trees/t/t.hjson:1:1: warning: the folder is not there",
    ]
    assert errors.FilesError(PROBLEMS[:1]).brief == "1 problem in the files"


def test_an_error_of_the_engine_can_be_caught_as_one():
    """Whoever asks the engine needs one `except`."""
    assert {kind for kind in EXIT_CODES if issubclass(kind, errors.EngineError)} == {
        errors.EngineError,
        errors.NoEngine,
        errors.NotThere,
        errors.EngineFull,
    }
