#!/usr/bin/env bash
# Builds the extension with AddressSanitizer and UndefinedBehaviorSanitizer, and runs the filters'
# tests and a fuzz of the given number of calls with it:
#
#     tests/sanitize.sh 1000000
#
# null, pointer-overflow and object-size are left out of the latter: with them a file of sorting
# networks takes the compiler many minutes, and AddressSanitizer sees where such a pointer leads.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
calls=${1:-20000}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

flags="-O1 -g1 -fno-var-tracking -fsanitize=address,undefined -fno-sanitize=null,pointer-overflow,object-size"
cp -r mcalc csrc setup.py pyproject.toml README.md LICENSE "$build"
rm -f "$build"/mcalc/_native*
CFLAGS="$flags -fno-sanitize-recover=undefined" MCALC_OPTIMISE=-O1 \
  pip wheel --quiet --no-deps --wheel-dir "$build" "$build"
rm -rf "$build/mcalc" "$build/csrc"
python -m zipfile -e "$build"/mcalc-*.whl "$build"

cd "$build" # so that this mcalc is the one that is imported
export PYTHONPATH=$build:$repository/tests/images
export LD_PRELOAD
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
# The interpreter and its libraries are not built with the sanitizer and keep memory to the end.
export ASAN_OPTIONS=detect_leaks=0
python -c "import mcalc._native as n; assert n.__file__.startswith('$build'), n.__file__"
python -m pytest --quiet -p no:cacheprovider "$repository"/tests/images/test_{native,filter_engine}.py
python "$repository/tests/images/fuzz_native.py" --calls "$calls"
