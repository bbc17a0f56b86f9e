"""The prompt enhancer: from a short wish to a description of a picture, and whether the description still says it.

A wish is data. It reaches the model as a JSON value only, and whatever the model answers is compared with the wish
before anybody uses it.
"""
