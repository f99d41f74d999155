#!/usr/bin/env bash
# record.sh - runs named commands one after the other and writes what came of each to a page.
#
#   record.sh PAGE < LIST      LIST has a line a test: "name: command"; its output goes to target/test-system/NAME.log
#
# Ends with 1 if any of them failed; the page is written in any case.
set -uo pipefail

page=${1:?page to write}
logs=target/test-system
mkdir -p "$logs"
commit=$(git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)
began=$(date -u +%Y-%m-%dT%H:%MZ)
rows='' failed=0

while IFS= read -r line; do
    [ -n "$line" ] || continue
    name=${line%%:*} command=${line#*: }
    echo "test-system: $name: $command"
    start=$SECONDS
    if bash -c "set -euo pipefail; $command" > "$logs/$name.log" 2>&1 < /dev/null; then
        result=passed
    else
        result=FAILED failed=1
        tail -30 "$logs/$name.log"
    fi
    # What was left out for want of a tool is no pass of it.
    skipped=$(grep -c 'skipped:' "$logs/$name.log" || :)
    passed=$(sed -n 's/^test result: .* \([0-9]*\) passed;.*/\1/p' "$logs/$name.log" | awk '{ sum += $1 } END { print sum + 0 }')
    echo "test-system: $name: $result in $((SECONDS - start)) s, $passed tests, $skipped skipped"
    rows+="| $name | $result | $passed | $skipped | $((SECONDS - start)) |"$'\n'
done

{
    echo '# The last run of `make test-system`'
    echo
    echo 'Written by the target itself; do not edit. `skipped` counts lines that say what was left out and why.'
    echo
    echo "Commit \`$commit\`, begun $began on $(nproc) cores, Linux $(uname -r)."
    echo
    echo '| what | result | tests | skipped | seconds |'
    echo '|---|---|---|---|---|'
    printf '%s' "$rows"
} > "$page"
exit "$failed"
