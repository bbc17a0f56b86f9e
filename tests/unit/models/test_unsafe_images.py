"""The unsafe-image network: a probability for each image, alone or among others; harmless pictures score low."""

import numpy as np

from components.models.unsafe_images import unsafe_probability


def test_scores_are_probabilities_that_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(0)
    sizes = [(40, 60), (256, 200), (224, 224), (7, 90), (64, 64), (64, 64), (64, 64), (64, 64), (64, 64), (300, 20)]
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    scores = unsafe_probability(images)
    assert scores.shape == (10,)
    assert ((scores >= 0) & (scores < 0.2)).all()  # noise is harmless
    alone = [unsafe_probability([image])[0] for image in (images[0], images[9])]
    np.testing.assert_allclose(alone, scores[[0, 9]], atol=1e-4)
    assert unsafe_probability([]).shape == (0,)
