import numpy as np

from components.evaluation.remembered import Remembered


def test_an_image_is_looked_at_once_wherever_it_stands() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    asked: list[int] = []

    def look(images_u8: np.ndarray) -> np.ndarray:
        asked.append(len(images_u8))
        return images_u8.reshape(len(images_u8), -1)[:, :2].astype(np.float32)

    remembered = Remembered(look)
    for rows, new in (([0, 1, 0], 2), ([1, 0], 0), ([5, 1, 2, 5], 2)):
        before = sum(asked)
        np.testing.assert_array_equal(remembered(images[rows]), images[rows].reshape(len(rows), -1)[:, :2])
        assert sum(asked) - before == new


def test_equal_bytes_of_another_shape_are_another_image() -> None:
    shape = Remembered(lambda images_u8: np.full(len(images_u8), images_u8.shape[1], np.float64))
    assert [float(shape(np.zeros((1, h, w, 3), np.uint8))[0]) for h, w in ((2, 8), (8, 2), (4, 4))] == [2, 8, 4]
