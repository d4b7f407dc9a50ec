#!/bin/bash
# fuzz.sh SECONDS [NAME...] - runs the fuzz targets of build/fuzz, as many at a time as there are processors.
# Corpora grow in build/fuzz/corpus/NAME (tests/fuzz/corpus/NAME is read too, where it is there); a finding is left in
# build/fuzz/found/ with its report. The last line is `N passed, N failed`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:?seconds}
# 0: another one each time. A landing should not hang on luck: there a short run repeats itself, and the long random ones are made by hand.
seed=${ROWTIDE_FUZZ_SEED:-$([[ ${CI:-} == true ]] && echo 1 || echo 0)}
shift
out=build/fuzz
names=("$@")
if [[ ${#names[@]} -eq 0 ]]; then
    for f in tests/fuzz/fuzz_*.c; do names+=("$(basename "$f" .c)"); done
fi
mkdir -p "$out/found"

one() {
    local name=$1 corpus=$out/corpus/$1 seeds=()
    mkdir -p "$corpus"
    [[ ! -d tests/fuzz/corpus/${name#fuzz_} ]] || seeds=("tests/fuzz/corpus/${name#fuzz_}")
    if ASAN_OPTIONS=detect_stack_use_after_return=1 setarch -R "$out/tests/$name" -max_total_time="$seconds" -seed="$seed" -timeout=20 \
            -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -artifact_prefix="$out/found/$name-" \
            "$corpus" "${seeds[@]}" >"$out/$name.log" 2>&1 </dev/null; then
        echo "ok: $name, $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$name.log") runs, $(find "$corpus" -type f | wc -l) inputs," \
            "$(grep -oE 'cov: [0-9]+' "$out/$name.log" | tail -n 1)"
    else
        echo "FAILED: $name"
        grep -vE '^#[0-9]+' "$out/$name.log" | tail -n 40
        return 1
    fi
}

good=0 bad=0
running=()
collect() { if wait "$1"; then good=$((good + 1)); else bad=$((bad + 1)); fi; }
for name in "${names[@]}"; do
    if [[ ${#running[@]} -ge $(nproc) ]]; then
        collect "${running[0]}"
        running=("${running[@]:1}")
    fi
    one "$name" &
    running+=($!)
done
for pid in "${running[@]}"; do collect "$pid"; done
echo "$good passed, $bad failed"
[[ $bad -eq 0 && $good -gt 0 ]]
