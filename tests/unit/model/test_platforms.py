"""What a platform is called by Docker and by Debian."""

import pytest

from stalker.model.platforms import debian_architecture, of_debian, parse_platform

WORDS = [
    ("linux/amd64", "linux/amd64", "amd64"),
    ("LINUX/AMD64", "linux/amd64", "amd64"),
    ("amd64", "linux/amd64", "amd64"),
    ("x86_64", "linux/amd64", "amd64"),
    ("linux/386", "linux/386", "i386"),
    ("linux/arm", "linux/arm/v7", "armhf"),
    ("linux/arm/v7", "linux/arm/v7", "armhf"),
    ("armhf", "linux/arm/v7", "armhf"),
    ("linux/arm/v6", "linux/arm/v6", "armel"),
    ("linux/arm/v5", "linux/arm/v5", "armel"),
    ("linux/arm64", "linux/arm64", "arm64"),
    ("linux/arm64/v8", "linux/arm64", "arm64"),
    ("arm64/v8", "linux/arm64", "arm64"),
    ("linux/aarch64", "linux/arm64", "arm64"),
    ("linux/ppc64le", "linux/ppc64le", "ppc64el"),
    ("linux/s390x", "linux/s390x", "s390x"),
    ("linux/riscv64", "linux/riscv64", "riscv64"),
    ("linux/sparc", "linux/sparc", ""),
]


@pytest.mark.parametrize(("text", "docker", "debian"), WORDS)
def test_a_platform_is_said_in_the_words_of_docker_and_of_debian(text, docker, debian):
    """Whatever the tree calls it, an image is labelled and a Debian bootstrapped in one way."""
    assert str(parse_platform(text)) == docker
    assert debian_architecture(parse_platform(text)) == debian


@pytest.mark.parametrize("debian", sorted({word for _, _, word in WORDS if word} - {"armel"}))
def test_an_architecture_of_debian_has_one_platform(debian):
    """A bootstrap that names its architecture makes an image that says so."""
    assert debian_architecture(of_debian(debian)) == debian


def test_armel_is_the_older_arm():
    """Docker calls it v6."""
    assert str(of_debian("armel")) == "linux/arm/v6"


def test_an_unknown_architecture_of_debian_has_no_platform():
    """Nothing is guessed."""
    assert of_debian("m68k") is None
