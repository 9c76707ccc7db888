"""Images of stalker: which are ours, what they grow on, and what each adds."""

from stalker.images.listing import Sizes, depths, grown_on, owned_images
from unit.helpers.forest import grown


def test_a_step_is_deeper_than_what_it_grows_on():
    """Children can be removed first."""
    forest = grown()
    images = forest.engine.labelled_images()

    found = depths(images)

    for image, below in grown_on(images).items():
        assert all(found[image] > found[one] for one in below if one in found)


def test_a_derived_image_is_not_ours():
    """It inherits labels, and not the comment."""
    forest = grown()
    derived = forest.derive("mine:1", forest.engine.image("os/arch/sub/web:nginx"))

    ours = {one.image.id for one in owned_images(forest.engine.labelled_images(), forest.engine.image)}

    assert derived.id not in ours
    assert forest.engine.image("os/arch/sub/web:nginx").id in ours


def test_the_size_of_an_unknown_parent_is_asked_for_once():
    forest = grown()
    image = forest.engine.image("os/arch/sub/base:apt")
    asked = []

    def sized(name):
        asked.append(name)

    sizes = Sizes([image], sized)

    assert [sizes.layer_bytes(image), sizes.layer_bytes(image)] == [None, None]
    assert asked == [image.parent_id]
