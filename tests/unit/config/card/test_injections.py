from __future__ import annotations

import pytest

from stalker.model.card import Digest, SecretText, Source
from unit.config.card.texts import created, refused

LONGEST = "a" * 63


def injections(text, **options):
    return created(f"injections: {{{text}}}\n", **options).injections


def told(text, more=""):
    return refused(f"injections: {{{text}}}\n{more}")


# hostname


@pytest.mark.parametrize("text", ["pi", "Pi-4", "kiosk.example.org", "7", "a", LONGEST, "x--y"])
def test_a_name_of_a_machine_is_labels_between_dots(text):
    """RFC 1123."""
    assert injections(f"hostname: '{text}'").hostname == text


def test_a_number_is_no_name():
    """A leading zero would be lost."""
    assert told("hostname: 007") == []
    assert told("hostname: 12") == ['1:24: injections.hostname: must be text, is a number -- write "12"']


# Wi-Fi


def test_a_network_is_joined():
    """One or several."""
    one, two = injections(
        "country: fr, wifi: [{ssid: Réseau, password: correct horse, hidden: true}, {ssid: open}]"
    ).wifi

    assert (one.ssid, one.password.text, one.is_hidden) == ("Réseau".encode(), "correct horse", True)
    assert (two.ssid, two.password, two.is_hidden) == (b"open", None, False)


def test_a_single_network_needs_no_list():
    """Its password can be read elsewhere."""
    wifi = "country: FR, wifi: {ssid: home, password: {file: key}}"

    assert injections(wifi).wifi[0].password == SecretText(
        path="/srv/cards/key", place=injections(wifi).wifi[0].password.place
    )


@pytest.mark.parametrize(
    ("text", "ssid"),
    [
        ("1234", b"1234"),
        ("007", b"007"),
        ("on", b"on"),
        ("'$(reboot) \"x'", b'$(reboot) "x'),
        ('"two\\nlines"', b"two\nlines"),
        ("'" + "ü" * 16 + "'", "ü".encode() * 16),
    ],
)
def test_a_network_has_any_name(text, ssid):
    """Numbers and words are taken as written, quotes and line breaks survive."""
    assert injections(f"country: FR, wifi: {{ssid: {text}}}").wifi[0].ssid == ssid


@pytest.mark.parametrize(
    "text", ["12345678", "01234567", "a" * 63, "0aF" * 21 + "0", "'$(x) \"''\\\\'", "€€€"]
)
def test_a_password_of_wifi_has_8_to_63_characters(text):
    """Or is the key itself, in 64 hexadecimal digits."""
    expected = text[1:-1].replace("''", "'") if text.startswith("'") else text

    assert injections(f"country: FR, wifi: {{ssid: x, password: {text}}}").wifi[0].password.text == expected


def test_a_password_beyond_ascii_is_a_warning():
    """IEEE 802.11 knows none; many access points do."""
    (warning,) = created("injections: {country: FR, wifi: {ssid: x, password: paßwörter}}\n").warnings

    assert "beyond ASCII" in warning
    assert "paß" not in warning


def test_wifi_without_a_country_is_a_warning():
    """A Raspberry Pi keeps it off then."""
    (warning,) = created("injections: {wifi: {ssid: x}}\n").warnings

    assert warning.startswith("card.yaml:1:27: injections.wifi.ssid: nothing says in which country")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ssid: ''}", "1:40: injections.wifi.ssid: a network's name has 1 to 32 bytes, this 0"),
        (
            "{ssid: " + "ü" * 17 + "}",
            "1:40: injections.wifi.ssid: a network's name has 1 to 32 bytes, this 34",
        ),
        ("{password: 12345678}", "1:33: injections.wifi: the key 'ssid' is missing"),
        (
            "{ssid: x, password: sesame}",
            (
                "1:53: injections.wifi.password: a password of Wi-Fi has 8 to 63 characters, this 6"
                " -- 64 hexadecimal digits are the key that is made of it"
            ),
        ),
        (
            "{ssid: x, password: " + "g" * 64 + "}",
            (
                "1:53: injections.wifi.password: a password of Wi-Fi has 8 to 63 characters, this 64"
                " -- 64 hexadecimal digits are the key that is made of it"
            ),
        ),
        (
            '{ssid: x, password: "open\\nsesame"}',
            "1:53: injections.wifi.password: a password of Wi-Fi has no line breaks or control characters",
        ),
        (
            "{ssid: x, password: ''}",
            "1:53: injections.wifi.password: the password is empty -- leave it out for an open network",
        ),
        (
            "{ssid: x, password: {env: 1X}}",
            "1:59: injections.wifi.password.env: this is not an environment variable name -- A-Z, 0-9 and _",
        ),
        ("{ssid: x, hidden: 1}", "1:51: injections.wifi.hidden: must be true or false, is a number"),
        (
            "[{ssid: x}, {ssid: x}]",
            "1:52: injections.wifi.1.ssid: 'x' is there twice; first in line 1 -- keep one",
        ),
        (
            "{ssid: x, psk: sesame}",
            "1:43: injections.wifi.psk: unknown key 'psk' -- keys: hidden, password, security, ssid",
        ),
    ],
)
def test_what_is_no_network_is_told_where_it_stands(text, expected):
    """Without showing a password."""
    assert told(f"country: FR, wifi: {text}") == [expected]


@pytest.mark.parametrize(("text", "country"), [("DE", "DE"), ("gb", "GB"), ("NO", "NO"), ("no", "NO")])
def test_a_country_is_two_letters(text, country):
    """Also Norway, which YAML takes for false."""
    assert injections(f"country: {text}").country == country


# files


def test_a_file_is_put_into_any_partition():
    """With its mode and owner."""
    one, two = injections(
        "files: [{partition: boot, to: /a//b, content: ' x '},"
        " {partition: 2, to: /etc/x, url: 'https://a.example/x', mode: 0600, owner: '1000:100',"
        f" checksum: {{algo: md5, value: {'0' * 32}}}}}]"
    ).files

    assert (one.partition, one.to, one.content, one.source) == ("boot", "/a/b", b" x ", None)
    assert (one.mode, one.uid, one.gid) == (0o644, 0, 0)
    assert (two.partition, two.to, two.content, two.mode, two.uid, two.gid) == (
        "2",
        "/etc/x",
        None,
        0o600,
        1000,
        100,
    )
    assert two.source == Source("https://a.example/x", Digest("md5", "0" * 32))


def test_a_file_of_this_machine_is_put_in():
    """Relative to the configuration."""
    (file,) = injections("files: [{partition: root, to: /a, file: a}]").files

    assert file.source == Source("/srv/cards/a")


def test_numbers_to_the_base_of_60_are_owners():
    """YAML would make one number of it."""
    (file,) = injections("files: [{partition: root, to: /a, content: x, owner: 33:33}]").files

    assert (file.uid, file.gid) == (33, 33)


def test_a_path_that_repeats_the_mount_point_is_a_warning():
    """In the partition there is no /data."""
    (warning,) = created("injections: {files: [{partition: data, to: /data/a, content: x}]}\n").warnings

    assert "on the machine this is /data/data/a\n  write /a" in warning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{to: /a, content: x}", "2:3: injections.files.0: the key 'partition' is missing"),
        ("{partition: boot, content: x}", "2:3: injections.files.0: the key 'to' is missing"),
        (
            "{partition: bot, to: /a, content: x}",
            "2:15: injections.files.0.partition: 'bot' is not a partition -- did you mean 'boot'?; or a number from 1, or PARTLABEL=name",
        ),
        (
            "{partition: 0, to: /a, content: x}",
            "2:15: injections.files.0.partition: must lie between 1 and 128, is 0",
        ),
        (
            "{partition: root, to: a, content: x}",
            "2:25: injections.files.0.to: 'a' is relative",
        ),
        (
            "{partition: root, to: /, content: x}",
            "2:25: injections.files.0.to: '/' is the partition itself -- name the file in it",
        ),
        (
            "{partition: root, to: /a}",
            "2:3: injections.files.0: nothing says what the file holds -- one of url, file and content",
        ),
        (
            "{partition: root, to: /a, content: x, mode: 644}",
            '2:47: injections.files.0.mode: 644 is decimal -- write "0644"',
        ),
        (
            "{partition: root, to: /a, content: x, mode: u=rw}",
            "2:47: injections.files.0.mode: 'u=rw' is not a mode: three or four digits of 0-7, like \"0644\"",
        ),
        (
            "{partition: root, to: /a, content: x, mode: '0888'}",
            "2:47: injections.files.0.mode: '0888' is not a mode: three or four digits of 0-7, like \"0644\"",
        ),
        (
            "{partition: root, to: /a, content: x, mode: '17777'}",
            "2:47: injections.files.0.mode: '17777' is not a mode: three or four digits of 0-7, like \"0644\"",
        ),
        (
            "{partition: root, to: /a, content: x, owner: root}",
            "2:48: injections.files.0.owner: 'root' is not an owner: two numbers, \"1000:1000\"; names are known to the image alone",
        ),
        (
            "{partition: root, to: /a, content: x, owner: '4294967295:0'}",
            "2:48: injections.files.0.owner: '4294967295:0': a number is at most 4294967294",
        ),
    ],
)
def test_what_is_no_file_is_told_where_it_stands(text, expected):
    """With what is possible."""
    assert refused(f"injections: {{files: [\n  {text}\n]}}\n") == [expected]


@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [
        ("partition: root, to: /a", "partition: root, to: /./a", True),
        ("partition: root, to: /a/b", "partition: root, to: /a", True),
        ("partition: root, to: /a", "partition: boot, to: /a", False),
        ("partition: 1, to: /a", "partition: 1, to: /b", False),
    ],
)
def test_a_path_of_a_partition_is_one_file(first, second, is_told):
    """Other partitions have their own."""
    found = told(f"files: [{{{first}, content: x}}, {{{second}, content: x}}]")

    assert bool(found) == is_told


def test_a_file_of_the_data_partition_is_not_put_in_twice():
    """By `files`, and here."""
    more = "files: [{to: /data/a, content: x}]\n"

    assert told("files: [{partition: data, to: /a, content: x}]", more) == [
        "1:44: injections.files.0.to: '/data/a' is written twice; first in line 2 -- keep one"
    ]
    assert told("files: [{partition: data, to: /b, content: x}]", more + "# \n") == []
    assert len(told("files: []", "files: [{to: /data/a, content: x}, {to: /data/a, content: x}]\n")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("injections: [x]", "1:13: injections: must be a mapping, is a list"),
        ("injections:", "1:12: injections: must be a mapping, is null"),
        ("injections: {host: x}", "1:14: injections.host: unknown key 'host' -- did you mean 'hostname'?"),
        ("data: {mont: true}", "1:8: data.mont: unknown key 'mont' -- did you mean 'mount'?"),
        ("data: {label: ''}", "1:15: data.label: the label '' has 0 characters; ext4 has room for 1 to 16"),
    ],
)
def test_a_slip_in_a_key_is_told(text, expected):
    """With the key that was meant."""
    assert refused(text + "\n") == [expected]


@pytest.mark.parametrize(("text", "bits"), [("0644", 0o644), ("4755", 0o4755)])
def test_a_mode_is_that_of_the_file(text, bits):
    """In octal, as chmod takes it."""
    file = f"files: [{{partition: root, to: /a, content: x, mode: '{text}'}}]"

    assert injections(file).files[0].mode == bits


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("timezone: ../etc/passwd", "is not a time zone"),
        ("locale: german", ""),
        ("locale: de-DE", "is not a locale"),
        ("keymap: 'de; rm'", "is not a keyboard layout"),
        ("config_txt: '[pi4]'", "is not a line of config.txt"),
        ('config_txt: ["a=1\\nb=2"]', "is not a line of config.txt"),
        (f"config_txt: a={'1' * 97}", "the firmware reads 98"),
    ],
)
def test_settings_of_a_region_and_of_the_firmware_are_checked(text, says):
    """Before anything is downloaded."""
    if not says:
        assert injections(text).locale == "german"
        return
    assert says in told(text)[0]


@pytest.mark.parametrize(
    ("offset", "count"), [("8KiB", 8192), ("8192", 8192), ("0x400", 1024), ("'1024'", 1024)]
)
def test_raw_data_has_an_offset_and_its_bytes(offset, count):
    """In base64, or a file beside the configuration; one needs no list."""
    (inline,) = injections(f"raw: {{offset: {offset}, content: aGk=}}").raw
    (file,) = injections(f"raw: [{{offset: {offset}, file: u-boot.bin, partition: 2}}]").raw

    assert (inline.offset, inline.content, inline.partition) == (count, b"hi", "")
    assert (file.content, file.source, file.partition) == (None, Source("/srv/cards/u-boot.bin"), "2")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{offset: 8K, content: aGk=}", "'8K' is 8000 bytes, and not a multiple of 512 -- 8KiB is 8192"),
        ("{offset: 100, content: aGk=}", "'100' is 100 bytes, and not a multiple of 512"),
        ("{offset: -512, content: aGk=}", "must lie between 0"),
        ("{offset: 8KiB, content: 'h i!'}", "this is not base64"),
        ("{offset: 8KiB, content: ''}", "the content is empty"),
        ("{offset: 8KiB}", "nothing says what the file holds"),
        ("{content: aGk=}", "offset"),
        ("{offset: 8KiB, content: aGk=, partition: boots}", "'boots' is not a partition"),
    ],
)
def test_raw_data_that_cannot_be_written_is_refused(text, says):
    assert says in told(f"raw: {text}")[0]


def test_lines_of_the_firmware_are_a_list_or_one():
    """And a partition may be named by its label."""
    files = "files: [{partition: PARTLABEL=esp, to: /a, content: x}]"

    found = injections(f"config_txt: enable_uart=1, {files}")

    assert (found.config_txt, found.files[0].partition) == (("enable_uart=1",), "PARTLABEL=esp")
