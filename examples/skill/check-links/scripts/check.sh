#!/bin/sh
# Checks the links of Markdown texts: files, or standard input.
exec awk '
    function wrong(target) {
        if (target == "") return "no target"
        if (target ~ /[ \t]/) return "a blank in the target"
        if (target ~ /^http:/) return "not https"
        if (target ~ /^[a-z][a-z0-9+.-]*:/ && target !~ /^(https|mailto):/) return "an unknown scheme"
        return ""
    }
    {
        rest = $0
        while (match(rest, /\]\([^()]*\)/)) {
            target = substr(rest, RSTART + 2, RLENGTH - 3)
            rest = substr(rest, RSTART + RLENGTH)
            links++
            why = wrong(target)
            if (why != "") {
                bad++
                printf "%s:%d: %s: %s\n", (FILENAME == "" || FILENAME == "-") ? "text" : FILENAME, FNR, why, target
            }
        }
    }
    END {
        printf "%d links, %d of them not well-formed\n", links, bad
        exit bad > 0
    }
' "$@"
