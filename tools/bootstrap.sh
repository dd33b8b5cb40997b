#!/bin/sh
# bootstrap.sh [GOAL] - installs the Debian or Ubuntu packages that GOAL needs and runs it.
#
# GOAL   build   compile the libraries              (make)
#        demo    real programs, glibc beside HAKMEM (make demo)
#        test    everything that is checked         (make test)
#        docs    the documentation                  (make docs)
#        bench-docs  the same, measured on this machine (make bench-docs)
#        bench-peers HAKMEM beside the allocators that it is compared with (make bench-peers)
#        peers   only install the allocators that HAKMEM is compared with
# With --packages after the goal, only the packages are installed and nothing is run.
#
# A shell and apt are enough to start from: no make, no compiler, no python. Nothing is downloaded
# when nothing is missing. Packages that only widen a test (node, java, redis) may be unavailable;
# any other missing package stops here, by name, before half a build has been made.

# Lists of package names are split into words on purpose, everywhere below:
# shellcheck disable=SC2005,SC2046,SC2048,SC2086,SC2116
set -eu

say() { printf '\n==> %s\n' "$*"; }
die() { printf '\nbootstrap: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; }

# ---- what each goal needs; `a|b` means: either will do, preferably a ------------------------

packages_build='g++ gcc libc6-dev cmake ninja-build make python3'

packages_demo="$packages_build sqlite3 python3-rich"
optional_demo='libmimalloc2.0'

packages_docs="$packages_build doxygen graphviz python3-sphinx python3-breathe furo
    python3-jinja2 python3-docutils python3-matplotlib"
optional_docs=''

packages_test="$packages_demo $packages_docs
    clang libclang-rt-14-dev|libclang-rt-dev clang-tidy-14|clang-tidy
    clang-format-14|clang-format
    libgtest-dev libgmock-dev libbenchmark-dev librapidcheck-dev
    nlohmann-json3-dev libcli11-dev libfmt-dev
    pkg-config|pkgconf binutils file git strace valgrind spin
    python3-pytest groff-base procps
    chromium|chromium-browser chromium-driver|chromium-chromedriver python3-selenium"
# Programs that are run under HAKMEM when they are there.
optional_test="$optional_demo perl nodejs default-jre-headless redis-server redis-tools stress-ng"

packages_bench_docs="$packages_docs
    libbenchmark-dev nlohmann-json3-dev libcli11-dev git python3-rich strace valgrind"

packages_bench_peers="$packages_build libbenchmark-dev nlohmann-json3-dev libcli11-dev git
    python3-rich python3-matplotlib valgrind"

packages_peers=''
optional_peers='libjemalloc2 libtcmalloc-minimal4|libtcmalloc-minimal4t64 libmimalloc2.0'
# Real programs that bench-peers times when they are there.
optional_bench_peers="$optional_peers sqlite3 clang perl nodejs redis-server redis-tools"

# ---- what is there ---------------------------------------------------------------------------

# The packages of the list that are installed, one a line.
installed() {
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(echo $* | tr '|' ' ') 2>/dev/null |
        sed -n 's/^installed //p' || :
}

# The entries of the list that no installed package satisfies.
missing() {
    have=" $(installed "$@" | tr '\n' ' ') "
    for entry in "$@"; do
        satisfied=no
        for name in $(echo "$entry" | tr '|' ' '); do
            case $have in *" $name "*) satisfied=yes ;; esac
        done
        [ $satisfied = yes ] || echo "$entry"
    done
}

# The preferred name of each entry, in one line.
first_names() { for entry in "$@"; do printf '%s ' "${entry%%|*}"; done; }

# For each entry the first of its names that apt could install; "?entry" where there is none.
candidates() {
    for entry in "$@"; do
        chosen="?$entry"
        for name in $(echo "$entry" | tr '|' ' '); do
            if LC_ALL=C apt-cache policy "$name" 2>/dev/null |
                grep -q '^  Candidate: [^(]'; then
                chosen=$name
                break
            fi
        done
        echo "$chosen"
    done
}

known() { for word in "$@"; do case $word in '?'*) ;; *) echo "$word" ;; esac; done; }
unknown() { for word in "$@"; do case $word in '?'*) echo "${word#?}" ;; esac; done; }

# ---- installing ------------------------------------------------------------------------------

guard=/usr/sbin/policy-rc.d
guard_is_ours=no

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] && return 0
    command -v sudo >/dev/null 2>&1 || return 1
    # Without a terminal nobody can type a password.
    if [ -t 0 ]; then sudo -v; else sudo -n true 2>/dev/null; fi
}

# A test needs the program redis-server, not a running service.
forbid_services() {
    if [ ! -e $guard ]; then
        guard_is_ours=yes
        trap 'allow_services' EXIT
        trap 'exit 130' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' | as_root tee $guard >/dev/null
        as_root chmod 755 $guard
    fi
}

allow_services() {
    if [ $guard_is_ours = yes ]; then
        guard_is_ours=no
        as_root rm -f $guard
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"
}

apt_is_fresh=no
refresh_apt() {
    [ $apt_is_fresh = no ] || return 1
    say 'apt-get update'
    apt_is_fresh=yes
    apt_get update
}

install() {
    apt_get install -y --no-install-recommends "$@" && return 0
    # Old package lists name files that the mirror no longer has.
    refresh_apt && apt_get install -y --no-install-recommends "$@"
}

# Installs what is missing: "$1" the packages that must be there, "$2" those that may.
provide() {
    must=$(missing $1)
    may=$(missing $2)
    [ -n "$must$may" ] || return 0

    problem=''
    command -v apt-get >/dev/null 2>&1 || problem='there is no apt-get here'
    [ -n "$problem" ] || can_be_root || problem='this needs root or a sudo that works here'
    if [ -n "$problem" ]; then
        if [ -n "$must" ]; then
            die "packages are missing, and $problem. Install them as root, then run this again:
    apt-get install --no-install-recommends $(first_names $must)"
        fi
        say "not installed, and $problem; what uses them is skipped:" $may
        return 0
    fi

    found=$(candidates $must $may)
    if [ -n "$(unknown $found)" ]; then
        refresh_apt || say 'apt-get update failed (see above)'
    fi
    found=$(candidates $must)
    if [ -n "$(unknown $found)" ]; then
        die "apt knows no package of these names:
    $(echo $(unknown $found))
Debian 12 has them all in 'main'; look at /etc/apt/sources.list, or install them by hand."
    fi

    had_redis=$(installed redis-server)
    forbid_services
    if [ -n "$found" ]; then
        say "installing" $found
        install $found || die "apt-get could not install (see above): $(echo $found)"
    fi
    # One at a time: a package that cannot be had must not keep the next one away.
    for name in $(candidates $may); do
        case $name in
            '?'*) say "apt knows no ${name#?}; what uses it is skipped" ;;
            *)
                say "installing $name (optional)"
                install "$name" || say "could not install $name; what uses it is skipped"
                ;;
        esac
    done
    # The guard keeps a service from starting now; this keeps it from starting at the next boot.
    if [ -z "$had_redis" ] && [ -n "$(installed redis-server)" ] &&
        command -v systemctl >/dev/null 2>&1; then
        as_root systemctl disable redis-server.service >/dev/null 2>&1 || :
    fi
    allow_services

    must=$(missing $1)
    [ -z "$must" ] || die "apt-get said it was done, yet these are missing: $(echo $must)"
}

# ---- the goal --------------------------------------------------------------------------------

goal=${1:-build}
run=yes
case ${2:-} in
    '') ;;
    --packages) run=no ;;
    *) usage >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null 2>&1 || [ "$goal" = help ] ||
    die 'there is no dpkg here: this script knows the packages of Debian and Ubuntu only.
A build needs a C and a C++ compiler, CMake, Ninja, make and Python 3; with what '"$goal"' needs
beyond them, make '"$goal"' does the rest.'

case $goal in
    build) provide "$packages_build" '' ;;
    demo) provide "$packages_demo" "$optional_demo" ;;
    test) provide "$packages_test" "$optional_test" ;;
    docs) provide "$packages_docs" "$optional_docs" ;;
    bench-docs) provide "$packages_bench_docs" "$optional_peers" ;;
    bench-peers) provide "$packages_bench_peers" "$optional_bench_peers" ;;
    peers) provide "$packages_peers" "$optional_peers"; run=no ;;
    help | -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac
[ $run = yes ] || { say "$goal: every package is installed"; exit 0; }

cd "$(dirname "$0")/.."
say "make $goal"
case $goal in
    build) exec make ;;
    *) exec make "$goal" ;;
esac
