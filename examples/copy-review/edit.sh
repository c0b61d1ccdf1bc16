#!/bin/sh
# Edits the site in /site.
cd /site || exit 1
sed -i 's/under construction/open/' index.html
rm draft.html
echo '<p>about</p>' > about.html
ls
