# SPDX-License-Identifier: Apache-2.0
# Stressors of stress-ng, one after the other, each until it has done so much: none fails, and all is counted; else the
# status is 1.
#   stress.sh STRESSOR:OPERATIONS...
all=0
for stressor; do
    name=${stressor%:*} operations=${stressor#*:}
    run=($E)
    # These heed no number of operations;
    limit=60s
    case $name in exec | sem) limit=2s ;; esac
    # these refuse to run as root.
    case $name in exec | spawn)
        nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        if ! "${nobody[@]}" /bin/sh -c ': >/dev/null' 2>why; then
            echo "stress.sh: $name is left out, as it needs to write to /dev/null as user 65534:" \
                "$(stat -c %A /dev/null): $(cat why)" >&2
            echo "$name: left out"
            continue
        fi
        run=("${nobody[@]}" $E)
        ;;
    esac
    "${run[@]}" stress-ng "--$name" 1 "--$name-ops" "$operations" --timeout $limit --metrics-brief --temp-path . \
        --vm-bytes 4M --mmap-bytes 1M --memfd-bytes 4M --mremap-bytes 1M >said 2>&1
    status=$?
    counted=$(awk -v name="$name" '$1 == "stress-ng:" && $4 == name && $5 ~ /^[0-9]+$/ { print $5 }' said)
    [ "${counted:-0}" -ge "$operations" ] && counted=all || counted="${counted:-nothing} of $operations"
    echo "$name: $status, counted: $counted"
    [ "$status $counted" = "0 all" ] || all=1
    grep -E 'fail:|error:' said
done
rm -f said why
(exit $all)
