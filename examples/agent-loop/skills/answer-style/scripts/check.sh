#!/bin/sh
# Checks the style of an answer on standard input. What is wrong goes to standard error, which a caller is told.
exec awk '
    { words += NF; text = text " " tolower($0) }
    END {
        if (text !~ /order [0-9]+/ && text !~ /bestellung [0-9]+/) wrong = wrong "it does not name the order\n"
        if (words > 60) wrong = wrong words " words, 60 are the most\n"
        if (text ~ /promise|guarantee|verspreche|garantier/) wrong = wrong "it promises something\n"
        if (wrong != "") { printf "%s", wrong > "/dev/stderr"; exit 1 }
        print words " words, nothing wrong"
    }
'
