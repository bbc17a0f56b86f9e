"""A vision language model that says its score as a token: its logits of 101 two-letter tokens, first in its answer.

A picture is brought to 448 by 448 without a crop (bicubic), normalised as ImageNet's are, and shown as one tile beside
a fixed question. Read with a softmax, the expectation over the levels 0 to 100 is the score. Models lie in a folder or
on a hub in transformers' layout of InternVL; ArtiMuse and `baidu/ERNIE-Image-Aes` are of this family.

Source: Cao et al. 2025, arXiv:2507.14533 (ArtiMuse), and the code published with it: tokens, question, preparation.
"""

from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

_MEAN, _STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
_INDENT = "\n        "
QUESTION = _INDENT.join(
    (
        "",
        "Rate the aesthetics score of the image in 0-100. ",
        "In the output format, numbers are replaced by 2 corresponding letters, ",
        "and the mapping relationship is: ",
        "score 0 to 25: 0-aa, 1-ab, 2-ac, 3-ad, ... , 25-az,",
        "score 26 to 50: 26-ca, 27-cb, 28-cc, 29-cd, ..., 50-cy,",
        "score 51 to 75: 51-da, 52-db, 53-dc, 54-dd, ..., 75-dy,",
        "score 76 to 100: 76-ea, 77-eb, 78-ec, 79-ed, ..., 100-ey.\n",
        "The answer only outputs 2 corresponding letters.",
        "",
    )
)
"""To the letter, with its line breaks: the model was trained on it."""
TOKENS = tuple(
    first + second for first, count in zip("acde", (26, 25, 25, 25), strict=True) for second in ascii_lowercase[:count]
)
"""What stands for 0, 1, ..., 100."""
_Config: Any = AutoConfig
_Model: Any = AutoModelForImageTextToText
_Tokenizer: Any = AutoTokenizer


def token_logits(
    name: str, revision: str | None = None, device: str = "cpu"
) -> Callable[[Sequence[UInt8[np.ndarray, "_ _ 3"]]], Float[np.ndarray, "n 101"]]:
    """What gives the 101 logits of each picture by the model of that name; pictures are asked one by one.

    ValueError in one line where there is no such model, or one whose tokenizer does not know the tokens.
    """
    disable_progress_bar()
    pinned = {"revision": revision, "trust_remote_code": False}
    try:
        config = _Config.from_pretrained(name, **pinned)
        if config.model_type != "internvl":
            raise ValueError(f"its kind is {config.model_type!r}")
        tokenizer = _Tokenizer.from_pretrained(name, **pinned)
        model = _Model.from_pretrained(name, use_safetensors=True, dtype="auto", **pinned).eval().to(device)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{name}: no InternVL in transformers' layout ({' '.join(str(error).split())[:160]}); the makers' layout "
            "needs their code to be run: convert it with transformers' convert_internvl_weights_to_hf.py"
        ) from error
    numbers, asked = _numbers_of_tokens(tokenizer, name), _asked(tokenizer, config).to(device)
    side = config.vision_config.image_size[0]

    @torch.inference_mode()
    def logits(images_u8: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float[np.ndarray, "n 101"]:
        rows = [
            model(input_ids=asked, pixel_values=tile(image_u8, side).to(device, model.dtype), logits_to_keep=1).logits[
                0, -1
            ]
            for image_u8 in images_u8
        ]
        return torch.stack(rows)[:, numbers].float().cpu().numpy()

    return logits


def tile(image_u8: UInt8[np.ndarray, "h w 3"], side: int) -> Float[Tensor, "1 3 {side} {side}"]:
    """The whole picture as the network sees it: `side` by `side`, bicubic, normalised."""
    small = np.asarray(Image.fromarray(image_u8).resize((side, side), Image.Resampling.BICUBIC))
    values = (small.astype(np.float32) / 255 - _MEAN) / _STD
    return torch.from_numpy(values.transpose(2, 0, 1)[None].copy())


def _numbers_of_tokens(tokenizer: Any, name: str) -> list[int]:
    numbers: list[int] = tokenizer.convert_tokens_to_ids(list(TOKENS))
    absent = [token for token, number in zip(TOKENS, numbers, strict=True) if number in (None, tokenizer.unk_token_id)]
    if absent:
        raise ValueError(f"{name}: its tokenizer has no token {absent[0]!r}; name a model that scores by tokens")
    return numbers


def _asked(tokenizer: Any, config: Any) -> Tensor:
    """The question with the places of one tile before it, up to where the answer begins."""
    place = tokenizer.convert_ids_to_tokens(config.image_token_id)
    content = f"<img>{place * config.image_seq_length}</img>\n{QUESTION}"
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    return tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
