"""A finished data set in the layouts that other trainers read, with a description, licences and attributions.

`export.write_export` is the way in. An export is a folder that appears whole or not at all; on one version of the
libraries equal tables make equal files, but for the date in the description.
"""
