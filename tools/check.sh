#!/bin/sh
# check.sh [STAGE ...] - builds and tests HAKMEM in each way that counts; `make test` runs it all.
#
# STAGE  release        gcc, optimised: every test there is, the documentation's too
#        release-clang  clang, optimised: unit, model, ABI and fast-path tests
#        asan           AddressSanitizer and UndefinedBehaviorSanitizer: unit, model, lifecycle
#        tsan           ThreadSanitizer: the same
#        docs           the documentation alone, where each warning is an error; no part of all
#
# A stage that fails stops the run. JOBS=n sets how many jobs run at a time. The last line counts
# the tests of all stages together.
set -u
cd "$(dirname "$0")/.." || exit 1

JOBS=${JOBS:-$(nproc)}
passed=0
failed=0
skipped=0
start=$(date +%s)

# ThreadSanitizer has fixed places for its shadow, which a kernel that randomizes addresses by many
# bits may have taken. Where personality() is forbidden, it must do without.
fixed_addresses=''
if setarch "$(uname -m)" -R true 2>/dev/null; then
    fixed_addresses="setarch $(uname -m) -R"
fi

say() { printf '\n==> %s\n' "$*"; }
elapsed() { echo "$(($(date +%s) - $1)) s"; }

summary() {
    say "$1 ($(elapsed "$start") in all, $skipped skipped)"
    echo "$passed passed, $failed failed"
}

give_up() {
    [ "$failed" -gt 0 ] || failed=1
    summary "FAILED: $1"
    exit 1
}

# Adds what one ctest run counted to the totals.
count() {
    suite=$(tr '\n\t' '  ' <"$1" | sed 's/.*<testsuite \([^>]*\)>.*/\1/')
    attribute() { echo "$suite" | sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p"; }
    tests=$(attribute tests)
    failures=$(attribute failures)
    left_out=$(($(attribute skipped) + $(attribute disabled)))
    passed=$((passed + tests - failures - left_out))
    failed=$((failed + failures))
    skipped=$((skipped + left_out))
}

# build_and_test PRESET LABELS [CMAKE-ARGUMENT...]: LABELS is a regular expression, '' for all.
build_and_test() {
    preset=$1
    labels=$2
    shift 2
    began=$(date +%s)
    say "$preset: configure"
    cmake --preset "$preset" -DHAKMEM_TESTS=ON "$@" || give_up "$preset does not configure"
    say "$preset: build"
    cmake --build --preset "$preset" --parallel "$JOBS" || give_up "$preset does not build"
    say "$preset: test"
    wrapper=''
    case $preset in *san) wrapper=$fixed_addresses ;; esac
    results=$PWD/build/$preset/ctest.xml
    rm -f "$results"
    # shellcheck disable=SC2086  # a command of several words
    $wrapper ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$JOBS" \
        --output-junit "$results" ${labels:+-L "$labels"}
    code=$?
    [ ! -f "$results" ] || count "$results"
    [ $code -eq 0 ] || give_up "tests of $preset"
    say "$preset: done in $(elapsed "$began")"
}

for stage in "${@:-all}"; do
    case $stage in
        all) set -- release release-clang asan tsan ;;
        release | release-clang | asan | tsan | docs) ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

for stage in "$@"; do
    case $stage in
        release) build_and_test release '' -DHAKMEM_BENCH=ON -DHAKMEM_LTO=ON ;;
        release-clang)
            # The same tests of another compiler's code: the model's long runs are shorter.
            build_and_test release-clang '^(unit|model|abi|codegen)$' \
                -DHAKMEM_BENCH=OFF -Dmodel_bulk_operations=2000000
            ;;
        asan | tsan) build_and_test "$stage" '^(unit|model|lifecycle)$' ;;
        docs)
            say 'docs: build'
            began=$(date +%s)
            make --no-print-directory docs || give_up 'docs'
            say "docs: done in $(elapsed "$began")"
            ;;
    esac
done
summary 'every stage passed'
