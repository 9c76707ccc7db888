# make hello   the first tree, on a machine that may have nothing but python3, git and make
# make serve   the service with an example of two git repositories in workspace/example
# make test    all tests, one more at a time than cores; `make test ARGS='tests/unit -k plan'` some of them
# make check   before each commit, in three minutes: ruff, mypy and the tests that need no engine
# make bare    hello and test on a bare Debian 12 and 13, each apart from this machine (tests/bare.sh); takes an hour
# make engines the tests of the engine's interface, and a smoke run, on every engine that is supported
# make bench   the figures of the README, each beside its peer; `ENGINE=podman`: on one of those of `make engines`
# make lint    ruff and mypy
# make test-python   pytest, ruff, mypy and what else tests import into .venv, as `make test` and `make lint` do first
# make clean   removes what these made in this folder; images stay: `./stalker prune TREE`
#
# Each sets up what it needs: as root on Debian the packages below and an engine; anyone else
# is told what is missing and goes on with what is there.

PYTHON := .venv/bin/python
ARGS :=
# One more than cores, as most tests wait for an engine a third of their time.
WORKERS := $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 1 )))
PYTEST = $(PYTHON) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

RUN_PACKAGES := python3-venv ca-certificates graphviz mmdebstrap gpg gpgv git zstd xz-utils
TEST_PACKAGES := $(RUN_PACKAGES) gnupg docker-registry tmux iproute2 e2fsprogs util-linux procps busybox-static \
	qemu-user-static fdisk mount dosfstools mtools openssh-client zip postgresql chromium zsh fish
# What newer releases have apart from docker.io, and older ones in it: beside Debian's own docker alone.
DOCKER_PARTS := docker-cli docker-buildx

.PHONY: hello serve service-packages test-python setup test check bare engines bench lint clean packages test-packages engine venv
.NOTPARALLEL:

hello: setup
	./stalker --config trees/hello_world/hello_world.hjson --watch_stdout

serve: setup service-packages
	$(PYTHON) -m stalker.service.example.make workspace/example
	@echo "Then, in another terminal: git -C workspace/example/initramfs commit --allow-empty -m 'a change'" >&2
	@echo "and open http://127.0.0.1:8520" >&2
	./stalker serve --file workspace/example/service.hjson

# The packages of the extra [service]: only for it and for its tests.
service-packages: venv ; $(call pinned,requirements-service.txt)

# pytest, ruff, mypy and what else the tests import: only for them. Users' .venv has what runs need.
test-python: service-packages ; $(call pinned,requirements-test.txt)

setup: packages engine

test: test-packages engine test-python
	$(PYTEST) $(ARGS)

bench: test-packages engine test-python
	$(PYTHON) benchmarks/run.py $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)

# Ruff and mypy run beside the tests; what they found is shown in one piece, at the end.
check: test-packages test-python
	@found=$$(mktemp); trap 'rm -f "$$found"' EXIT; \
	$(MAKE) --no-print-directory --silent lint >"$$found" 2>&1 & lint=$$!; \
	$(PYTEST) -m 'not docker' $(ARGS); tests=$$?; \
	wait $$lint; linted=$$?; cat "$$found"; \
	[ $$tests = 0 ] && [ $$linted = 0 ]

engines: export STALKER_TEST_ENGINES := docker-containerd docker-rootless podman docker-new docker26 \
	docker26-containerd podman54
engines: test-packages engine test-python
	$(PYTHON) -m pytest tests/contract tests/further $(ARGS)

bare:
	sh tests/bare.sh $(ARGS)

lint: test-python
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

engine: venv
	@./stalker engine up --yes

# The launcher makes .venv, or finds it as it should be.
venv:
	@./stalker --help >/dev/null

clean:
	rm -rf .venv.d .mypy_cache .ruff_cache .pytest_cache .hypothesis
	if [ -h .venv ]; then rm .venv; fi
	find lib tests plugins stalks benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

packages: ; $(call install,$(RUN_PACKAGES))
test-packages: ; $(call install,$(TEST_PACKAGES),$(DOCKER_PARTS))

# Install the pins of a file into .venv once; the copy in .venv says which pins it has.
define pinned
@cmp -s $(1) .venv/$(1) || { \
$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(1) && \
cp $(1) .venv/$(1); }
endef

# One question to dpkg when nothing is missing. Package lists are fetched when the first try fails:
# they are not there yet, or older than what the mirror holds.
define install
@command -v dpkg-query >/dev/null || exit 0; \
have=$$(dpkg-query -W -f '$${Package} $${db:Status-Status},' docker.io $(1) $(2) 2>/dev/null); \
is_there() { case ",$$have" in *",$$1 installed,"*) ;; *) false ;; esac; }; \
missing=; \
for package in $(1); do \
  is_there $$package || missing="$$missing $$package"; \
done; \
parts() { \
  command -v docker >/dev/null && ! is_there docker.io || for package in $(2); do \
    is_there $$package || ! apt-cache show $$package >/dev/null 2>&1 || echo " $$package"; \
  done; \
}; \
[ -n "$$missing$$(parts)" ] || exit 0; \
if [ "$$(id -u)" != 0 ]; then \
  missing="$$missing$$(parts)"; \
  echo "not installed:$$missing; where one is needed, as root: apt-get install -y$$missing" >&2; exit 0; \
fi; \
echo "installing:$$missing$$(parts)" >&2; \
export DEBIAN_FRONTEND=noninteractive; \
get() { apt-get install -y -qq --no-install-recommends $$missing $$(parts) </dev/null >&2; }; \
get || { apt-get update -qq >&2 && get; }
endef
