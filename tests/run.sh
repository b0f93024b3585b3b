#!/usr/bin/env bash
# Runs every test; `make test` has built them. The simulator only computes: it takes what the others
# leave of the processors. The tests on a real kernel mostly wait: they begin beside the units and the
# integration tests, few at a time, and those that measure wait for the end of everything else
# (tests/netns/turns.rs; the locks say what runs). What failed is printed again at the end.
set -u
tmp=$(mktemp -d)
trap 'rm -r "$tmp"' EXIT
trap 'trap - TERM; kill 0; exit 130' INT TERM

locked() { # FILE COMMAND...: holds a lock on FILE while COMMAND runs
    exec 9>"$1"
    flock 9
    "${@:2}" 9>&-
}
locked "$tmp/simulator.lock" chrt --idle 0 cargo test --test sim >"$tmp/sim" 2>&1 &
sim=$!
locked "$tmp/units.lock" cargo test --no-fail-fast --lib --test it >"$tmp/it" 2>&1 &
it=$!
until [ -e "$tmp/simulator.lock" ] && [ -e "$tmp/units.lock" ]; do sleep 0.1; done

failed=0
# Every kernel test has a thread from the start: they queue among themselves.
VIPD_TEST_SIMULATOR=$tmp/simulator.lock VIPD_TEST_UNITS=$tmp/units.lock VIPD_TEST_TIMES=$tmp/times \
    cargo test --test netns -- --test-threads=64 2>&1 | tee "$tmp/netns"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
wait "$it" || failed=1
cat "$tmp/it"
wait "$sim" || failed=1
cat "$tmp/sim"

echo "the slowest kernel tests:"
sort -rn "$tmp/times" | head
for log in it netns sim; do
    # The tests print what they saw under `failures:`, before the list of their names.
    sed -n '/^failures:$/,/^test result:/{/^test result:/!p}' "$tmp/$log"
done
exit "$failed"
