#!/usr/bin/env bash
# Counts the instructions of the crate and of hand-written SQL. A busy machine does not change them.
#
#   benches/instructions.sh                    counts, and prints by how much each moved from benches/instructions.txt
#   benches/instructions.sh --write            counts, and makes that the baseline
#   benches/instructions.sh --profile JOB      where the crate's instructions go, by function
#
# Needs valgrind. Not counted: waiting for the disk, and the instructions of the system.
set -euo pipefail
cd "$(dirname "$0")/.."
baseline=benches/instructions.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The names of jobs of benches/against_sql, and how many times each is run.
jobs='create 1x10, Full|200
create 1x10, in memory|500
create 1x10, long texts, Full|50
lone writer, 1x0, in memory|500
bulk 1,000x10|1
bulk 1,000x10, long texts|1
update a KPI of 10, Full|300
save a KPI of 10, Full|300
rename a dataset of 10, Full|300
add a KPI to 10, Full|300
add a KPI to 9,500, beside to 10, Full|300
delete and restore, Full|200
history of 50 versions|20
verify 4,000 added KPIs, beside 1,000|3
get one with 10 KPIs|1000
list 10,000 in pages of 1,000|1
page of 50|50
count|200
summaries of 10,000 in pages of 1,000|1
page of 50 summaries|100
search 10,000 with 10 KPIs, no hit|1
search, page of 50 of a common word|50
changes, 100 in 10,000 datasets|50
property of 100 bytes|1000
statistics of 10,000x10|20
open an up-to-date file|20
request JSON in, parsed alone|500
response JSON out|500
verify 1,000x10|1'

binary=$(cargo bench --locked -p kpi-store-benches --bench against_sql --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')

# count JOB SIDE TIMES: prints the instructions of all runs; leaves the profile in $work.
count() {
    KPI_STORE_COUNT="$2:$3" valgrind --tool=callgrind --toggle-collect='*jobs*counted*' \
        --callgrind-out-file="$work/profile" "$binary" "$1" --bench 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

if [ "${1-}" = --profile ]; then
    times=$(printf '%s\n' "$jobs" | awk -F'|' -v job="$2" '$1 == job { print $2 }')
    count "$2" store "$times"
    callgrind_annotate --threshold=90 "$work/profile"
    exit
fi

{
    echo '# Instructions of one time, hand-written SQL and this crate. Made by: benches/instructions.sh --write'
    printf '%s\n' "$jobs" | while IFS='|' read -r job times; do
        floor=$(count "$job" floor "$times" </dev/null)
        store=$(count "$job" store "$times" </dev/null)
        awk -v job="$job" -v f="$floor" -v s="$store" -v n="$times" \
            'BEGIN { printf "%-40s|%12.0f|%12.0f|%7.3f\n", job, f / n, s / n, s / f }'
    done
} >"$work/counted"

if [ "${1-}" = --write ]; then
    cp "$work/counted" "$baseline"
    cat "$baseline"
else
    awk -F'|' '
        function moved(now, before) { return sprintf("%+.1f%%", 100 * (now / before - 1)) }
        /^#/ { next }
        NR == FNR { floor[$1] = $2; store[$1] = $3; next }
        FNR == 2 { printf "%-40s%10s%9s%10s%9s%9s\n", "", "floor", "moved", "store", "moved", "ratio" }
        !($1 in floor) { print $0, "new"; next }
        { printf "%-40s%10d%9s%10d%9s%9.3f\n", $1, $2, moved($2, floor[$1]), $3, moved($3, store[$1]), $4 }
    ' "$baseline" "$work/counted"
fi
