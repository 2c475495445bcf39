# SPDX-License-Identifier: Apache-2.0
# Stressors of stress-ng, one after the other, each until it has done so much: none fails, and all is counted.
#   stress.sh STRESSOR:OPERATIONS...
for stressor; do
    name=${stressor%:*} operations=${stressor#*:}
    run=($E)
    # These heed no number of operations;
    limit=60s
    case $name in exec | sem) limit=2s ;; esac
    # these refuse to run as root.
    case $name in exec | spawn) run=(setpriv --reuid=65534 --regid=65534 --clear-groups $E) ;; esac
    "${run[@]}" stress-ng "--$name" 1 "--$name-ops" "$operations" --timeout $limit --metrics-brief --temp-path . \
        --vm-bytes 4M --mmap-bytes 1M --memfd-bytes 4M --mremap-bytes 1M >said 2>&1
    status=$?
    counted=$(awk -v name="$name" '$1 == "stress-ng:" && $4 == name && $5 ~ /^[0-9]+$/ { print $5 }' said)
    echo "$name: $status, counted: $([ "${counted:-0}" -ge "$operations" ] && echo all || echo "${counted:-nothing} of $operations")"
    grep -E 'fail:|error:' said
done
rm -f said
