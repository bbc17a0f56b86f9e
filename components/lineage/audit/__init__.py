"""Documents for auditors, made from records: every figure names the rows of the ledger that it comes from.

document      what a document is: figures, lines, tables, sections
figures       what figures come to, and the check of every one
attributions  images of sets by licence, creator, attribution, source, domain: catalogues, streamed
ingredients   what went into a model, without what only measured it
provider      what only the provider can say
summary, sources, card, build   the sections, and all of it together
appendix, page, markdown   the document for readers
"""
