#!/usr/bin/env bash
# The bank of planted bugs: does the suite find what broke other engines?
#
#   planted-bugs/run.sh                       every bug
#   planted-bugs/run.sh torn-tail-refused     these only
#
# Each patch beside this script plants one bug, after a public report that its head names. It is
# applied to a copy of the tree; the suites that its head names are run in their short form, in turn,
# until one fails. A bug that nobody finds, or that does not build, fails the command. The copy and what
# is built from it stay in target/planted, so that a later run builds less. RSHELVE_TEST_SEED gives
# every suite its seed.
set -u
cd "$(dirname "$0")/.." || exit 2
root=$PWD
planted=$root/target/planted
copy=$planted/tree
limit_seconds=900

rm -rf "$copy" && mkdir -p "$copy" && : >"$planted/log"
git ls-files -z | tar --null -cf - -T - | tar -xf - -C "$copy" || exit 2
# What was built last has a bug in it: everything is newer than that.
find "$copy/core" -name '*.rs' -exec touch {} +
export GIT_CEILING_DIRECTORIES=$planted
export CARGO_TARGET_DIR=$planted/target CARGO_TERM_COLOR=never

names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(cd planted-bugs && ls -- *.patch | sed 's/\.patch$//')

# How the suite that a line of a patch names is run: a test binary, and a filter.
suite() {
  case $1 in
    lib) echo --lib ;;
    *) echo --test "$1" ;;
  esac
}

# Sets `verdict` for the bug that is planted in the copy.
hunt() {
  verdict="NOT FOUND"
  local binary filter
  while read -r _ binary filter; do
    # shellcheck disable=SC2046
    if ! cargo test --manifest-path "$copy/Cargo.toml" -q -p rshelve-core $(suite "$binary") --no-run >>"$planted/log" 2>&1; then
      verdict="DOES NOT BUILD"
      return
    fi
    local began=$EPOCHREALTIME status
    # shellcheck disable=SC2046
    timeout "$limit_seconds" cargo test --manifest-path "$copy/Cargo.toml" -q \
      -p rshelve-core $(suite "$binary") -- "$filter" \
      >>"$planted/log" 2>&1
    status=$?
    spent=$(echo "$spent + $EPOCHREALTIME - $began" | bc)
    if [ $status -eq 124 ]; then
      verdict="found: $binary $filter hangs"
      return
    elif [ $status -ne 0 ]; then
      verdict="found: $binary $filter"
      return
    fi
  done < <(grep '^Suite: ' "$1")
}

found=0 tried=0
for name in "${names[@]}"; do
  patch=$root/planted-bugs/$name.patch
  [ -f "$patch" ] || { echo "there is no planted bug $name" >&2; exit 2; }
  echo "== $name" >>"$planted/log"
  if ! git -C "$copy" apply -C1 "$patch" 2>>"$planted/log"; then
    verdict="DOES NOT APPLY" spent=0
  else
    spent=0
    hunt "$patch"
    git -C "$copy" apply -C1 -R "$patch"
  fi
  tried=$((tried + 1))
  case $verdict in found*) found=$((found + 1)) ;; esac
  printf '%-36s %8.1f s  %s\n' "$name" "$spent" "$verdict"
done
echo "$found of $tried planted bugs found"
[ "$found" -eq "$tried" ]
