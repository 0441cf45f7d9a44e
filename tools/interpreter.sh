# Sets $python to an interpreter that is new enough; sourced by ./run and ./test.
#
# Root looks among the system's interpreters first: the server never runs as
# root, and what lies below root's own home no other account can execute.

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    first='' last='/usr/bin/python3 /usr/local/bin/python3'
    if [ "$(id -u)" = 0 ]; then first=$last last=''; fi
    for python in $first python3 python3.14 python3.13 python3.12 python3.11 $last; do
        if new_enough "$python"; then return 0; fi
    done
    return 1
}

install_python() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "no Python 3.11 or later here: installing python3 with apt-get"
    apt-get update -qq && apt-get install -qq -y --no-install-recommends python3 python3-venv
}

if ! find_python && ! { install_python && find_python; }; then
    echo "pyqmail needs Python 3.11 or later (on Debian: apt install python3 python3-venv)" >&2
    exit 1
fi
