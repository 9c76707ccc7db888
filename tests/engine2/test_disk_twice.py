"""A disk made on two engines that know nothing of each other."""

import contextlib
import hashlib

from disks import BOOT, ROOT, DiskShop, imported
from engines import real_engine
from unit.helpers.tars import folder, hard_link, link, make_tar, member

OWN = make_tar(
    folder("boot"),
    (member("boot/kernel"), b"kernel" * 10_000),
    folder("etc"),
    (member("etc/passwd"), b"root:x:0:0\n"),
    hard_link("etc/shadow", "etc/passwd"),
    link("etc/link", "passwd", mode=0o777),
    *[(f"etc/file{number}", b"%d" % number * number) for number in range(500)],
)


def test_two_engines_give_one_digest(second, tmp_path):
    """Nothing of an engine, its clock or its numbering is in a disk."""
    digests = []
    with contextlib.closing(second.client()) as other, contextlib.closing(real_engine()) as own:
        for number, engine in enumerate((own, other)):
            folder_of_one = tmp_path / str(number)
            folder_of_one.mkdir()
            shop = DiskShop(folder_of_one, engine)
            with imported(engine, OWN) as image:
                made = shop.make(image, shop.artifact(BOOT, ROOT, formats=("img", "img.zst", "bmap")))
            digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in made.files])

    assert digests[0] == digests[1]
