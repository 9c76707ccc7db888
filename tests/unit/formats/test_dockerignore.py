import pytest
from docker.utils.build import PatternMatcher
from hypothesis import given
from hypothesis import strategies as st

from stalker.formats.dockerignore import IgnoreRules

CASES = [
    # rules, path, stays behind
    ("*.o", "a.o", True),
    ("*.o", "src/a.o", False),
    ("**/*.o", "a.o", True),
    ("**/*.o", "src/deep/a.o", True),
    ("*/temp*", "src/temporary.txt", True),
    ("*/temp*", "src/deep/temp", False),
    ("temp?", "tempa", True),
    ("temp?", "temp", False),
    ("temp?", "temp/", False),
    ("build", "build/x/y", True),
    ("/build/", "build/x", True),
    ("./build", "build", True),
    ("build/**", "build/x/y", True),
    ("build/**", "build", False),
    ("a/**/z", "a/z", True),
    ("a/**/z", "a/b/c/z", True),
    ("a/**/z", "ab/z", False),
    ("**", "anything/at/all", True),
    ("# *.md\n*.txt", "a.md", False),
    ("  *.md  \n\n", "a.md", True),
    ("*.md\n!README.md", "README.md", False),
    ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
    ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
    ("*\n!src", "src/main.c", False),
    ("*\n!src\nsrc/tmp", "src/tmp/x", True),
    ("! keep\n", "keep", False),
    ("x[ab]y", "xay", True),
    ("x[^ab]y", "xay", False),
    ("x[^ab]y", "xcy", True),
    ("x[a-c]y", "xby", True),
    ("x[!a]y", "x!y", True),
    (r"a\*b", "a*b", True),
    (r"a\*b", "axb", False),
    ("a.b", "axb", False),
    ("a+b(c)$", "a+b(c)$", True),
    ("[", "[", True),
    ("../x", "x", False),
    ("\ufeff*.o", "a.o", True),
    (".git", ".git/config", True),
    (".git", ".gitignore", False),
    ("", "x", False),
    (".", "x", False),
    ("*\n!a/b/c", "a/b/c", False),
    ("*\n!a/b/c", "a/b/d", True),
]


@pytest.mark.parametrize(("rules", "path", "stays"), CASES)
def test_a_path_stays_behind_as_the_reference_says(rules, path, stays):
    """The table of .dockerignore rules."""
    assert IgnoreRules(rules).is_ignored(path) is stays


OTHERWISE_IN_DOCKER_PY = [
    ("x[^ab]y", "xay"),
    ("x[^ab]y", "xcy"),
    (r"a\*b", "a*b"),
    ("../x", "x"),
    ("\ufeff*.o", "a.o"),
]
"""Where docker-py does not do as Docker does: when this list is empty, our rules can go."""


@pytest.mark.parametrize(("rules", "path", "stays"), CASES)
def test_docker_py_does_the_same_but_for_a_few_rules(rules, path, stays):
    """It leaves the reading of the file to its caller: lines are stripped, comments left out."""
    lines = [line.strip() for line in rules.splitlines() if line.strip() and not line.startswith("#")]

    same = PatternMatcher(lines).matches(path) is stays

    assert same is ((rules, path) not in OTHERWISE_IN_DOCKER_PY)


def test_the_dockerfile_is_sent_whatever_the_rules_say():
    """The engine needs the Dockerfile even where it is ignored."""
    rules = IgnoreRules("*", always=("./docker/Dockerfile", ".dockerignore"))

    assert not rules.is_ignored("docker/Dockerfile")
    assert not rules.is_closed("docker")
    assert rules.is_closed("src")


def test_a_folder_with_exceptions_is_looked_into():
    """An ignored folder may hold a file that is wanted."""
    assert not IgnoreRules("node_modules\n!node_modules/keep").is_closed("node_modules")


@given(
    st.text(alphabet="ab*?[]^-!\\/.#&~|{}()+$ \n", max_size=30),
    st.text(alphabet="ab/.*[", min_size=1, max_size=12),
)
def test_no_rule_is_a_crash(rules, path):
    """Whatever stands in the file, there is an answer."""
    assert IgnoreRules(rules).is_ignored(path) in {True, False}
