"""How a wish is put to the language model: one message of JSON in a chat template with the release's shape.

BOS, the system message between SYSTEM_PROMPT marks, the message between INST marks; then the model writes. No
generation prompt is added, and the tokenizer adds no second BOS. Marks that stand in a message are written as JSON
escapes: text of a person never becomes a control token, whoever fills the template.
"""

import json

BOS, EOS, PADDING, UNKNOWN = "<s>", "</s>", "<pad>", "<unk>"
SYSTEM_MARKS = ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
MESSAGE_MARKS = ("[INST]", "[/INST]")
MARKS = (UNKNOWN, BOS, EOS, PADDING, *SYSTEM_MARKS, *MESSAGE_MARKS)
"""All control tokens; their numbers are their places here."""

SYSTEM_MESSAGE = (
    "Describe the wished picture in full, in the language of the wish and for its width and height. "
    "Keep every thing, number, colour, quoted text and negation. Write only the description."
)

PREFIX = f"{BOS}{SYSTEM_MARKS[0]}{SYSTEM_MESSAGE}{SYSTEM_MARKS[1]}"
"""What stands before every message."""


def user_message(prompt: str, width: int, height: int) -> str:
    """The wish as JSON with `prompt`, `width` and `height`, as diffusers writes it: other scripts stay as they are."""
    return json.dumps({"prompt": prompt, "width": width, "height": height}, ensure_ascii=False)


def put(message: str) -> str:
    """What follows `PREFIX` for one message, up to where the model goes on."""
    for mark in MARKS:
        message = message.replace(mark, _escaped(mark))
    return f"{MESSAGE_MARKS[0]}{message}{MESSAGE_MARKS[1]}"


def chat_template() -> str:
    """The Jinja template with which a tokenizer writes `PREFIX` and then `put` of each user message.

    A system message of the caller takes the place of ours.
    """
    escapes = "".join(f" | replace({json.dumps(mark)}, {json.dumps(_escaped(mark))})" for mark in MARKS)
    begin, end_system = json.dumps(BOS + SYSTEM_MARKS[0]), json.dumps(SYSTEM_MARKS[1])
    open_message, close_message = (json.dumps(mark) for mark in MESSAGE_MARKS)
    return "".join(
        (
            f"{{%- set told = namespace(system={json.dumps(SYSTEM_MESSAGE)}) -%}}",
            "{%- for message in messages if message['role'] == 'system' -%}",
            f"{{%- set told.system = message['content']{escapes} -%}}",
            "{%- endfor -%}",
            f"{{{{- {begin} + told.system + {end_system} -}}}}",
            "{%- for message in messages if message['role'] == 'user' -%}",
            f"{{{{- {open_message} + message['content']{escapes} + {close_message} -}}}}",
            "{%- endfor -%}",
        )
    )


def _escaped(mark: str) -> str:
    return f"\\u{ord(mark[0]):04x}{mark[1:]}"
