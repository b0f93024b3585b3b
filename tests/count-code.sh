#!/usr/bin/env bash
# Lines of code in src (neither blank, comment nor unit test), by module, and the files of more than 600 lines.
set -eu
cd "$(dirname "$0")/.."
find src -name '*.rs' ! -name tests.rs | sort | xargs awk '
    FNR == 1 { tests = 0; comment = 0; split(FILENAME, part, "/"); module = part[2]; sub(/\.rs$/, "", module) }
    { lines[FILENAME]++ }
    /^#\[cfg\(test\)\]/ { tests = 1 }
    tests { if (/^}/ || /^mod .*;/) tests = 0; next }
    /^[ \t]*$/ || /^[ \t]*\/\// { next }
    { code[module]++; all++ }
    END {
        for (m in code) printf "%7d  %s\n", code[m], m | "sort -rn"
        close("sort -rn")
        printf "%7d  all\n", all
        for (f in lines) if (lines[f] > 600) printf "more than 600 lines: %s, %d\n", f, lines[f]
    }'
