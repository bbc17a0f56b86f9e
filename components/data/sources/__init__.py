"""Where the embedded data set comes from: six sets of emoji drawings with Unicode's words, and public-domain clip art.

`bake.bake` fetches the packages, joins drawings with words, renders them on white and writes `data/images`, its
manifest, card and credits. Users never need it: the result is pinned. It is here so that anyone can make it again,
byte for byte.

    packages   the table of packages, fetching and unpacking
    emoji      the join of icon names with concepts, aliases included
    clipart    which clip art may be taken, and its words
    render     SVG to pixels to WebP
    card       the data card and the credits
    bake       all of it together, and the check of the result
"""
