"""Lettering and repetition on pages, scenes and marked scenes made here: what each sees, how often, what fools it."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from components.data.lettering import lettering, repetition

NUM_MADE = 16
MAX_LETTERING, MAX_REPETITION = 0.8, 5.5  # where the recipes draw the line


def grey(image: Image.Image) -> np.ndarray:
    image.thumbnail((256, 256), Image.Resampling.BOX)
    return np.asarray(image.convert("L"))


def page(seed: int) -> Image.Image:
    """Lines of random letters, dark on light or light on dark, on pages of four shapes."""
    rng = np.random.default_rng(seed)
    width, height = [(256, 256), (400, 300), (300, 500), (1024, 768)][seed % 4]
    paper, ink = ((20, 20, 40), (230, 230, 230)) if seed % 3 == 0 else ((250, 248, 240), (30, 30, 30))
    image = Image.new("RGB", (width, height), paper)
    size = int(max(width, height) * rng.uniform(0.05, 0.12))
    for y in range(size, height - size, int(size * 1.5)):
        words = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz  "), int(rng.integers(6, 30))))
        ImageDraw.Draw(image).text((size // 2, y), words, fill=ink, font=ImageFont.load_default(size))
    return image


def dense_page(seed: int) -> Image.Image:
    """A page as scanners give it: paragraphs of small words, whose letters are 2 to 5 pixels high when it is viewed."""
    rng = np.random.default_rng(seed)
    width, height = [(620, 877), (500, 700), (800, 600), (1000, 750)][seed % 4]
    paper, ink = ((250, 248, 240), (20, 20, 20)) if seed % 4 else ((25, 25, 30), (220, 220, 220))
    image = Image.new("RGB", (width, height), paper)
    size, margin = int(height * rng.uniform(0.014, 0.03)), int(width * rng.uniform(0.05, 0.15))
    font, y = ImageFont.load_default(size), margin
    while y < height - margin - size:
        letters = rng.choice(list("aeilmnoprstu  "), 200)
        line = "".join(letters[: int((width - 2 * margin) / size * (1.7 if rng.random() > 0.15 else 0.6))])
        ImageDraw.Draw(image).text((margin, y), line, fill=ink, font=font)
        y += int(size * (1.4 if rng.random() > 0.1 else 2.5))
    return image


def ruled(pen: ImageDraw.ImageDraw) -> None:
    for y in range(40, 560, 24):
        pen.line((40, y, 560, y), fill="black", width=3)


def bricks(pen: ImageDraw.ImageDraw) -> None:
    for row, y in enumerate(range(0, 600, 30)):
        for x in range(-30 * (row % 2), 600, 60):
            pen.rectangle((x + 2, y + 2, x + 57, y + 27), fill=(170, 60, 40))


def hatched(pen: ImageDraw.ImageDraw) -> None:
    for x in range(-600, 600, 14):
        pen.line((x, 0, x + 600, 600), fill="black", width=3)


def notes(pen: ImageDraw.ImageDraw) -> None:
    for top in range(60, 540, 110):
        for line in range(5):
            pen.line((30, top + 12 * line, 570, top + 12 * line), fill="black", width=2)
        for x in range(60, 560, 50):
            y = top + (x * 7) % 48
            pen.ellipse((x, y - 7, x + 16, y + 7), fill="black")
            pen.line((x + 16, y, x + 16, y - 40), fill="black", width=2)


def bars(pen: ImageDraw.ImageDraw) -> None:
    for y in range(40, 560, 26):
        pen.rectangle((40, y, 140 + (y * 13) % 400, y + 14), fill=(40, 80, 160))


def blinds(pen: ImageDraw.ImageDraw) -> None:
    for y in range(40, 560, 18):
        pen.rectangle((60, y, 540, y + 10), fill=(200, 180, 150), outline="black")


def waves(pen: ImageDraw.ImageDraw) -> None:
    for shift in range(-300, 300, 40):
        pen.line([(x, 300 + shift + 200 * np.sin(x / 90)) for x in range(0, 600, 6)], fill="black", width=2)


DRAWINGS = (ruled, bricks, hatched, notes, bars, blinds, waves)


def scene(seed: int, height: int = 288, width: int = 384) -> Image.Image:
    """Noise with the spectrum of photographs, and sharp shapes on it."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) / frequency ** rng.uniform(0.8, 1.8)).real
    pixels = np.clip(128 + 45 * (noise - noise.mean()) / noise.std(), 0, 255).astype(np.uint8)
    image = Image.fromarray(np.repeat(pixels[..., None], 3, axis=2))
    for _ in range(seed % 8):
        x, y, radius, sides = (int(rng.integers(*bounds)) for bounds in ((0, width), (0, height), (10, 90), (3, 8)))
        shade = tuple(int(c) for c in rng.integers(0, 256, 3))
        ImageDraw.Draw(image).regular_polygon((x, y, radius), sides, fill=shade)
    return image


def marked(seed: int, opacity: float) -> Image.Image:
    """A scene under a word tiled over it in white, in straight or staggered rows."""
    image, rng = scene(seed), np.random.default_rng(seed + 1000)
    mark = Image.new("L", image.size, 0)
    pen, size = ImageDraw.Draw(mark), int(rng.integers(16, 30))
    font, word = ImageFont.load_default(size), "".join(rng.choice(list("abcdefghklmnoprst"), 6))
    step = int(pen.textlength(word, font=font) * rng.uniform(1.1, 1.5))
    for row, y in enumerate(range(0, image.height, int(size * rng.uniform(2, 3.5)))):
        for x in range(-(step // 2) * (row % 2) * (seed % 2), image.width, step):
            pen.text((x, y), word, fill=int(255 * opacity), font=font)
    return Image.composite(Image.new("RGB", image.size, "white"), image, mark)


def test_pages_of_text_are_told_from_scenes() -> None:
    pages = np.array([lettering(grey(made(seed))) for seed in range(NUM_MADE) for made in (page, dense_page)])
    scenes = np.array([lettering(grey(scene(seed))) for seed in range(NUM_MADE)])
    assert (pages > MAX_LETTERING).mean() >= 0.95
    assert (scenes <= 0.6).all()


@pytest.mark.parametrize("drawn", DRAWINGS, ids=lambda drawn: drawn.__name__)
def test_drawings_of_many_lines_are_no_pages(drawn: Callable[[ImageDraw.ImageDraw], None]) -> None:
    image = Image.new("RGB", (600, 600), "white")
    drawn(ImageDraw.Draw(image))
    assert lettering(grey(image)) < 0.3


@pytest.mark.parametrize(("opacity", "recall"), [(0.15, 0.5), (0.25, 0.75), (0.4, 0.9)])
def test_tiled_marks_are_found(opacity: float, recall: float) -> None:
    found = np.array([repetition(grey(marked(seed, opacity))) for seed in range(NUM_MADE)]) > MAX_REPETITION
    assert found.mean() >= recall


def test_scenes_without_a_mark_are_left_alone() -> None:
    found = np.array([repetition(grey(scene(seed))) for seed in range(NUM_MADE)]) > MAX_REPETITION
    assert found.sum() <= 1


def test_edges_stripes_and_flat_grounds_do_not_repeat() -> None:
    rng = np.random.default_rng(0)
    half = np.zeros((128, 128), np.uint8)
    half[:, 64:] = 200
    stripes = np.repeat(np.tile(np.repeat([90, 110], 16), 4)[None], 128, axis=0) + rng.normal(0, 1, (128, 128))
    for grounds in (half, np.full((128, 128), 77, np.uint8), stripes.round().astype(np.uint8), half[:20, :20]):
        assert repetition(grounds) <= MAX_REPETITION


def test_what_fools_them_is_known() -> None:
    """Rows of like dots or keys look like writing, and a tiled floor like a mark: the rules that use these say so."""
    dots = Image.new("RGB", (256, 256), "white")
    for x in range(20, 240, 24):
        for y in range(20, 240, 40):
            ImageDraw.Draw(dots).ellipse((x, y, x + 8, y + 8), fill="black")
    assert lettering(grey(dots)) >= MAX_LETTERING
    motif = np.random.default_rng(1).normal(128, 6, (32, 32))
    assert repetition(np.tile(motif, (6, 6)).round().astype(np.uint8)) > MAX_REPETITION


def test_a_few_signs_in_a_drawing_are_no_page() -> None:
    image = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(image).ellipse((20, 20, 236, 236), fill=(200, 30, 30))
    ImageDraw.Draw(image).text((60, 240), "STOP ALL", fill="black", font=ImageFont.load_default(12))
    assert lettering(grey(image)) < 0.3
    assert lettering(np.zeros((3, 3), np.uint8)) == 0.0
