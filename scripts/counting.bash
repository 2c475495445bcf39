# SPDX-License-Identifier: Apache-2.0
# Checks that are counted: what passed, what failed and by which name, what was skipped.
passed=0
failed=0
skipped=0
failures=()

fails() {
    failed=$((failed + 1))
    failures+=("$*")
}

# name, command...: one check that passes or fails as a whole.
whole() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        fails "$name"
    fi
}

# kind, command...: one that prints TAP. It fails as well if it does not tell as many results as it has planned, or ends
# with an error of which it has told none.
taps() {
    local kind=$1 line planned='' told=0 skipped_here=0 failed_before=$failed status
    shift
    while IFS= read -r line; do
        printf '%s\n' "$line"
        case $line in
        1..[0-9]*) planned=${line#1..} ;;
        'ok '* | 'not ok '*) told=$((told + 1)) ;;&
        'ok '*'# skip'*) skipped_here=$((skipped_here + 1)) ;;
        'ok '*) passed=$((passed + 1)) ;;
        'not ok '*) fails "$kind: ${line#not ok }" ;;
        esac
    done < <("$@")
    wait $!
    status=$?
    skipped=$((skipped + skipped_here))
    if [ "$told" != "$planned" ]; then
        fails "$kind: $told results of ${planned:-no} planned ones, and status $status"
    elif [ $status != 0 ] && [ $failed = "$failed_before" ]; then
        fails "$kind: status $status, though no result is a failure"
    elif [ $told = $skipped_here ]; then
        fails "$kind: nothing ran"
    fi
}

# What was counted; 0 if nothing failed and something passed.
result() {
    local name
    for name in "${failures[@]+"${failures[@]}"}"; do
        echo "failed: $name"
    done
    [ "$skipped" -eq 0 ] || echo "$skipped skipped"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
