"""A vision language model from transformers, by name or folder: pictures and a question in, words out.

Weights are read from safetensors only and no code of the model's repository is run. Decoding is greedy, so equal
pictures give equal words on one machine. Pictures are asked one by one: padding would change what a model says.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

_Model: Any = AutoModelForImageTextToText
_Processor: Any = AutoProcessor


class VisionLanguageModel:
    """Describes pictures. `name` is a folder or a name on a hub; ValueError where it is no such model."""

    def __init__(self, name: str, max_new_tokens: int, device: str = "cpu") -> None:
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens}; allowed: 1 or more")
        try:
            self._processor: Any = _Processor.from_pretrained(name, trust_remote_code=False)
            model = _Model.from_pretrained(name, trust_remote_code=False, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise ValueError(f"{name}: no vision language model here ({' '.join(str(error).split())[:160]})") from error
        self._model: Any = model.to(device).eval()
        self._max_new_tokens, self._device = max_new_tokens, device

    @torch.inference_mode()
    def describe(self, images_u8: Sequence[UInt8[np.ndarray, "_ _ 3"]], question: str) -> list[str]:
        """One answer to `question` about each of `images_u8` (sRGB), as the model wrote it."""
        return [self._describe(image_u8, question) for image_u8 in images_u8]

    def _describe(self, image_u8: UInt8[np.ndarray, "h w 3"], question: str) -> str:
        content = [{"type": "image", "image": Image.fromarray(image_u8)}, {"type": "text", "text": question}]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._device)
        written = self._model.generate(**inputs, max_new_tokens=self._max_new_tokens, do_sample=False)
        answer = written[0, inputs["input_ids"].shape[1] :]
        return cast(str, self._processor.decode(answer, skip_special_tokens=True))
