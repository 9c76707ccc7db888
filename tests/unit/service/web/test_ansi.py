"""Output as HTML: escaped, coloured, without any other control."""

from __future__ import annotations

import pytest

from stalker.service.web.ansi import to_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<img onerror=x>&", "&lt;img onerror=x&gt;&amp;"),
        ("\x1b[32mgreen\x1b[0m x", '<span class="c-green">green</span> x'),
        ("\x1b[1;31mx\x1b[22my\x1b[39mz", '<span class="bold c-red">x</span><span class="c-red">y</span>z'),
        ("\x1b[38;5;4;31mx", '<span class="c-red">x</span>'),
        ("\x1b[2J\x1b]0;title\x07x\x1b", "x"),
        ("10%\r20%\rdone\n", "done\n"),
        ("a\r\nb", "a\nb"),
        ("\u202ex\x00", "\ufffdx\ufffd"),
        ('\x1b[31m"><script>\x1b[0m', '<span class="c-red">&#34;&gt;&lt;script&gt;</span>'),
    ],
)
def test_output_becomes_html(text, html):
    assert to_html(text) == html
