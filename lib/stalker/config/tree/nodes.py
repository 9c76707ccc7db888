"""The nodes of a tree: stalks and steps, and what their containers offer: environment, network, capabilities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stalker.config.artifacts.load import read_artifacts
from stalker.config.artifacts.values import ArtifactReader
from stalker.config.docker_options.table import capabilities_of, read_options, value_of
from stalker.config.plugins.content import shell_of
from stalker.config.plugins.declared import Exec, Plugins, read_plugins
from stalker.config.schema import tree
from stalker.config.schema.types import bind, check, is_variable
from stalker.config.syntax.document import is_true, items_of
from stalker.config.syntax.report import did_you_mean
from stalker.config.tree import names
from stalker.config.tree.bases import read_bases
from stalker.config.tree.sysroot import Ground, ShippedHelpers, read_ground
from stalker.config.tree.targets import check_ground, check_targets
from stalker.config.tree.variables import Scope, Setting, settings_of
from stalker.model.diagnostics import Place
from stalker.model.image_name import REPOSITORY_MAX
from stalker.model.program import program
from stalker.model.tree import Base, DiskBase, Option, SecretSource, Stalk, Step

if TYPE_CHECKING:
    from stalker.config.plugins.declared import Exec
    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report
    from stalker.config.workspace import Workspace
    from stalker.model.diagnostics import Place
    from stalker.model.tree import Option


NO_VARIABLES = ("DOCKER_OPTS", "DOCKER_INIT_IMG")


@dataclass(slots=True)
class Grown:
    """A stalk as read, with what only the whole tree can settle.

    `init_image` is DOCKER_INIT_IMG where it decides the start.
    """

    stalk: Stalk
    place: Place
    skip_until: Node | None = None
    needs: tuple[Node, ...] = ()
    init_image: Node | None = None


@dataclass(slots=True)
class Trunk:
    """What all stalks of a tree share while it is read."""

    workspace: Workspace
    report: Report
    prefix: str
    settings: Mapping[str, Setting]
    overrides: Mapping[str, Setting]
    secrets: Mapping[str, SecretSource]
    platform: str = ""
    grown: dict[str, Grown] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    grounds: dict[str, Ground] = field(default_factory=dict)
    options: dict[str, tuple[Option, ...]] = field(default_factory=dict)
    repositories: dict[str, Place] = field(default_factory=dict)
    step_names: dict[str, list[str]] = field(default_factory=dict)
    """The names of each stalk's steps, also of those whose scripts are wrong."""
    shipped_helpers: ShippedHelpers = field(init=False)

    def __post_init__(self) -> None:
        self.shipped_helpers = ShippedHelpers(self.workspace, self.report)

    def grow(
        self, name: str, node: Node, parent: str, inherited: Mapping[str, Setting], platform: str
    ) -> None:
        """Read a node and all that is nested in it; one that was meant as a key of its node is reported once."""
        if parent and (meant := self.meant_key(name, node)):  # what stands right in `stalks` can be no key
            self.report.problem_instead(node.key_place, f"no stalk file {_stalk_path(name)}", meant)
            return
        own = {**inherited, **settings_of(node, without=NO_VARIABLES)}
        platform = self.read_platform(node.get("platform")) or platform
        if name in self.grown:
            where = self.grown[name].place
            what = f"a stalk named '{name}' stands in this tree already"
            self.report.problem(
                node.key_place, what, f"at {where}; `stalk: {name}` under another name makes a variant"
            )
        else:
            self.grown[name] = self.read_node(name, node, parent, own, platform)
        for key, child in node.items():
            if key not in tree.NODE.keys and isinstance(child.value, dict) and not is_variable(key):
                self.grow(key, child, name, own, platform)

    def meant_key(self, name: str, node: Node) -> str:
        """Return a hint at the key that a node was meant as, empty where it may well be a stalk."""
        if node.get("stalk") is not None or self.workspace.kind(_stalk_path(name)) == "file":
            return ""
        nested = (key for key, child in node.items() if isinstance(child.value, dict))
        if any(self.workspace.kind(_stalk_path(key)) == "file" for key in nested):
            return ""
        near = did_you_mean(name, tree.NODE.keys)
        return near if near.startswith("did") else ""

    def read_platform(self, node: Node | None) -> str:
        """Return a platform, empty when it is none, which is reported."""
        return bind(node, tree.NODE.keys["platform"], self.report) or ""

    def read_node(
        self, name: str, node: Node, parent: str, settings: Mapping[str, Setting], platform: str
    ) -> Grown:
        """Read one node without what is nested in it."""
        file_name = node.get("stalk")
        stalk_name = file_name.text if file_name is not None and file_name.text else name
        asked_at = file_name.place if file_name is not None else node.key_place
        repository = self.repository(name, node)
        root = self.stalk_file(stalk_name, asked_at)
        scope = Scope(
            {**settings_of(root, without=NO_VARIABLES), **self.settings, **settings, **self.overrides},
            self.secrets,
            asked=self.asked,
        )
        bases = self.bases(node, parent, scope)
        pretend, needs = node.get("pretend"), node.get("needs")
        stalk = Stalk(
            name=name,
            repository=repository,
            place=node.key_place,
            file=root.document.file if root is not None else "",
            steps=(),
            parent=parent,
            bases=bases,
            pretend=is_true(pretend),
            platform=platform,
            resources=self.resources(node.get("resources")),
        )
        interactive = node.get("interactive")
        if interactive is not None:
            self.report.warning(
                interactive.key_place,
                "'interactive' has no effect",
                f"`{program()} shell` opens a shell in any step",
            )
        if root is not None:
            stalk = self.with_steps(stalk, root, scope)
        mounts = tuple(mount.target for step in stalk.steps[-1:] for mount in step.mounts)
        image = next((one for one in self.bases_of(stalk) if isinstance(one, DiskBase)), None)
        if image is None and not bases and any(one.get("disk") for one in items_of(node.get("base"))):
            image = DiskBase("image", node.place, "")  # what is wrong with it is reported, once
        reader = ArtifactReader(scope, self.workspace, self.report, stalk.platform, mounts, image)
        return Grown(
            replace(stalk, artifacts=read_artifacts(node.get("artifacts"), stalk, reader)),
            node.key_place,
            node.get("skip_until"),
            tuple(c for c in items_of(needs) if isinstance(c.value, str)),
            self.init_image(node, root, parent, has_base=bool(bases)),
        )

    def repository(self, name: str, node: Node) -> str:
        """Return the image name of a node without a tag, empty when it cannot be one, which is reported."""
        part = self.report.attempt(node.key_place, names.repository_part, name)
        if part is None:
            return ""
        repository = f"{self.prefix}/{part}"
        if len(repository) > REPOSITORY_MAX:
            self.report.problem(
                node.key_place, f"the image name {repository} is longer than {REPOSITORY_MAX}"
            )
        other = self.repositories.setdefault(repository, node.key_place)
        if other != node.key_place:
            what = f"two stalks have the image name {repository}"
            self.report.problem(node.key_place, what, f"the other one stands at {other}")
        return repository

    def stalk_file(self, name: str, asked_at: Place) -> Node | None:
        """Return the root of a stalk file; None when there is no usable one, which is reported."""
        path = _stalk_path(name)
        if "/" in name or name in {".", ".."} or "\0" in name:
            self.report.problem(asked_at, f"'{name}' cannot name a stalk file", "a name, not a path")
            return None
        if self.workspace.kind(path) != "file":
            known = [n for n in self.workspace.listing("stalks") if self.workspace.kind(_stalk_path(n))]
            near = did_you_mean(name, tree.NODE.keys)
            hint = near if near.startswith("did") else did_you_mean(name, known, "stalks")
            self.report.problem(asked_at, f"no stalk file {path}", hint)
            return None
        document = self.workspace.document(path)
        if document is None or document.root is None:
            return None
        if path not in self.options:
            is_mapping = check(document.root, tree.STALK, tree.NAMED, self.report)
            self.options[path] = read_options(document.root.get("DOCKER_OPTS"), self.report)
            if not is_mapping:
                return None
        return document.root

    def bases(self, node: Node, parent: str, scope: Scope) -> tuple[Base, ...]:
        """Return the bases of a root node."""
        base = node.get("base")
        if base is None:
            return ()
        if parent:
            self.report.problem(
                base.key_place,
                f"this stalk is nested in '{parent}', which gives its first image",
                "move the stalk up, or leave base out",
            )
            return ()
        if node.get("DOCKER_INIT_IMG") is not None:
            self.report.problem(base.key_place, "both 'base' and 'DOCKER_INIT_IMG'", "keep one of them")
        return read_bases(base, scope, self.workspace, self.report)

    def bases_of(self, stalk: Stalk) -> tuple[Base, ...]:
        """Return what the root of a stalk starts from."""
        while stalk.parent and stalk.parent in self.grown:
            stalk = self.grown[stalk.parent].stalk
        return stalk.bases

    def init_image(self, node: Node, root: Node | None, parent: str, *, has_base: bool) -> Node | None:
        """Return the DOCKER_INIT_IMG that decides the start, None when something else does."""
        own = node.get("DOCKER_INIT_IMG")
        of_file = root.get("DOCKER_INIT_IMG") if root is not None else None
        if own is not None or has_base:
            return own
        if of_file is not None and parent:
            self.report.warning(
                of_file.key_place,
                f"DOCKER_INIT_IMG has no effect where the stalk is nested in '{parent}', which gives its first image",
                "in the node of the tree it has",
            )
            return None
        return of_file

    def resources(self, node: Node | None) -> tuple[tuple[str, str], ...]:
        """Return the labels for placing."""
        found = ((key, child) for key, child in (node.items() if node is not None else ()))
        return tuple(
            sorted((key, child.text) for key, child in found if not isinstance(child.value, dict | list))
        )

    # what the stalk file gives

    def with_steps(self, stalk: Stalk, root: Node, scope: Scope) -> Stalk:
        """Return the stalk with the steps and the platform that its file gives."""
        path = root.document.file
        options = self.options[path]
        plugins = read_plugins(root.get("plugins"), scope, self.workspace, self.report)
        wanted = value_of(next((option for option in options if option.name == "platform"), None))
        if wanted and stalk.platform and wanted != stalk.platform:
            place = next(option.place for option in options if option.name == "platform")
            self.report.problem(place, f"the platform is {stalk.platform} in the tree", "leave it out here")
        options = tuple(option for option in options if option.name != "platform")
        if not plugins.execs and root.get("plugins") is not None:
            self.report.warning(root.place, f"the stalk '{stalk.name}' has no step: no plugin has exec: true")
        check_needs_of_plugins(plugins.execs, options, self.report)
        check_targets(plugins.targets, options, self.report)
        platform = stalk.platform or wanted or ""
        steps = self.steps(stalk.name, plugins, scope, options, platform, root)
        return replace(stalk, steps=steps, platform=platform)

    def steps(
        self,
        stalk: str,
        plugins: Plugins,
        scope: Scope,
        options: tuple[Option, ...],
        platform: str,
        root: Node,
    ) -> tuple[Step, ...]:
        """Make the steps; those of a stalk share their files, mounts and options."""
        whole = self.ground(scope)
        scripts = (one.script.content for one in plugins.execs if one.script is not None)
        helpers = self.shipped_helpers.for_contents((*scripts, *(file.content for file in plugins.files)))
        if helpers.files or helpers.mounts:
            whole = whole.joined(helpers)
        check_ground(whole, plugins.targets, options, self.report)
        ground = whole.below(tuple(plugins.mounts), {target.path for target in plugins.targets})
        files = ground.files + tuple(plugins.files) if plugins.files else ground.files
        mounts = ground.mounts + tuple(plugins.mounts) if plugins.mounts else ground.mounts
        environment = read_environment(root.get("envplugins"), scope, self.report)
        check_variables(plugins.execs, environment, root.get("envplugins"), self.report)
        last = len(plugins.execs) - 1

        def step(position: int, one: Exec) -> Step | None:
            if one.script is None:
                return None
            return Step(
                stalk=stalk,
                name=one.name,
                script=one.script,
                place=one.place,
                variables=one.variables,
                environment=environment,
                files=files,
                copies=one.copies,
                late_copies=plugins.late_copies if position == last else (),
                mounts=mounts,
                options=options,
                platform=platform,
                timeout_s=one.timeout_s,
                retries=one.retries,
                daemonize=one.daemonize,
                ready=one.ready,
                uses=one.info.name if one.info is not None else "",
            )

        found = [step(position, one) for position, one in enumerate(plugins.execs)]
        self.step_names[stalk] = [one.name for one in plugins.execs]
        return tuple(one for one in found if one is not None)

    def ground(self, scope: Scope) -> Ground:
        """Return what the sysroot and the helpers give; read once for each SYSROOT_DIR."""
        name = scope.value("SYSROOT_DIR", "sysroot") or "sysroot"
        setting = scope.settings.get("SYSROOT_DIR")
        if name not in self.grounds:
            if not name.startswith("/") and not self.workspace.is_inside(name):
                assert setting is not None
                self.report.problem(setting.place, f"'{name}' leaves the workspace", "write an absolute path")
                self.grounds[name] = Ground()
            else:
                place = setting.place if setting is not None else None
                self.grounds[name] = read_ground(name, place, self.workspace, self.report)
        return self.grounds[name]


def _stalk_path(name: str) -> str:
    return f"stalks/{name}/{name}.hjson"


_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

VARIABLE_MAX_BYTES = 128 * 1024
"""Of one variable with its name, `=` and NUL. Source: MAX_ARG_STRLEN in Linux' binfmts.h."""

ENVIRONMENT_MAX_BYTES = 2 * 1024 * 1024
"""Of all variables of a program, with a pointer each: a quarter of the usual stack limit, execve(2)."""

_POINTER_BYTES = 8
_TOO_LARGE = "put large values into a file plugin, and let the script read it"

_SHELL_SETS = frozenset({"IFS", "OPTIND", "PPID", "PWD"})
"""Variables that every POSIX shell sets at its start, whatever it was given."""

_BASH_SETS = frozenset(
    {
        *("BASH", "BASHPID", "BASH_COMMAND", "BASH_SUBSHELL", "BASH_VERSINFO", "BASH_VERSION"),
        *("EPOCHREALTIME", "EPOCHSECONDS", "HISTCMD", "LINENO", "OPTERR", "RANDOM", "SECONDS", "SHLVL"),
        "SRANDOM",
    }
)
"""Those that bash sets besides. UID and EUID are not among them: it takes what it is given."""


def check_needs_of_plugins(execs: list[Exec], options: tuple[Option, ...], report: Report) -> None:
    """Tell where DOCKER_OPTS withhold what a step needs.

    A missing network is a warning: what a plugin installs may be there already, and a daemon may be
    talked to through a mount.
    """
    has_network = value_of(next((o for o in options if o.name == "network_mode"), None)) != "none"
    capabilities = capabilities_of(options)
    for one in execs:
        if one.daemonize and not has_network:
            what = "no other step reaches a daemonized one over the network with network: none"
            report.warning(one.place, what, "leave network out of DOCKER_OPTS")
        if one.info is None:
            continue
        if one.info.network and not has_network:
            what = f"plugin '{one.info.name}' needs the network, and DOCKER_OPTS has network: none"
            report.warning(one.place, what, "leave network out of DOCKER_OPTS, unless all is there already")
        lacking = [c for c in one.info.capabilities if capabilities is not None and c not in capabilities]
        if lacking:
            what = f"plugin '{one.info.name}' needs the capability {', '.join(lacking)}"
            report.problem(one.place, what, f'DOCKER_OPTS: {{ cap_add: ["{lacking[0]}"] }}')


def read_environment(node: Node | None, scope: Scope, report: Report) -> tuple[tuple[str, str], ...]:
    """Read `envplugins`; `''` inherits what is set and is empty text otherwise."""
    found: dict[str, str] = {}
    for key, child in node.items() if node is not None else ():
        if not _ENVIRONMENT_NAME.match(key):
            report.problem(child.key_place, f"'{key}' cannot be a variable's name")
        elif isinstance(child.value, dict | list) or child.value is None:
            continue
        elif "\0" in child.text:
            report.problem(child.place, "a variable cannot hold the character NUL")
        elif not child.text and key in scope.secrets:
            what = f"the secret {key} would be seen by `docker inspect`"
            report.problem(child.key_place, what, "declare it in the plugins that need it")
        else:
            found[key] = child.text or scope.value(key)
            _check_size(key, found[key], child.key_place, _TOO_LARGE, report)
    return tuple(sorted(found.items()))


def check_variables(
    execs: list[Exec], environment: tuple[tuple[str, str], ...], node: Node | None, report: Report
) -> None:
    """Report what steps cannot be given: variables that are too large, or that their shell sets itself.

    `node` is `envplugins`, which gave `environment`.
    """
    places = {key: child.key_place for key, child in (node.items() if node is not None else ())}
    for one in execs:
        for variable in one.variables:
            hint = f"it is set at {variable.place}; {_TOO_LARGE}"
            _check_size(variable.name, variable.value, one.place, hint, report)
        own = {variable.name: variable.value for variable in one.variables}
        everything = {**dict(environment), **own}
        size = sum(_size(name, value) + _POINTER_BYTES for name, value in everything.items())
        if size > ENVIRONMENT_MAX_BYTES:
            what = f"its variables are {size} bytes with envplugins; a program takes {ENVIRONMENT_MAX_BYTES}"
            report.problem(one.place, what, _TOO_LARGE)
        shell = shell_of(one.script.interpreter) if one.script is not None else ""
        for name in everything if shell else ():
            _check_owner(name, shell, one.place if name in own else places[name], report)


def _size(name: str, value: str) -> int:
    return len(name) + len(value.encode("utf-8", "surrogateescape")) + 2


def _check_size(name: str, value: str, place: Place, hint: str, report: Report) -> None:
    size = _size(name, value)
    if size > VARIABLE_MAX_BYTES:
        what = f"the variable {name} is {size} bytes with its name; a program takes {VARIABLE_MAX_BYTES}"
        report.problem(place, what, hint)


def _check_owner(name: str, shell: str, place: Place, report: Report) -> None:
    if name in _SHELL_SETS or (shell in {"bash", "rbash"} and name in _BASH_SETS):
        what = f"{shell} sets {name} itself, so a script never sees this value"
        report.problem(place, what, "choose another name")
    elif shell == "sh" and name in _BASH_SETS:
        what = f"bash, which is sh in some images, sets {name} itself, so a script may not see this value"
        report.warning(place, what, "choose another name")
