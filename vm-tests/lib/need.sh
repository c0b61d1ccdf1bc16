# What the machine must have: Debian packages, installed on demand when we are root, named when we are not.

# need PROGRAM PACKAGE…: PROGRAM is there afterwards, or the whole run fails.
need() {
  local program=$1; shift
  command -v "$program" >/dev/null && return
  MISSING+=("$@")
}

# install_needed: installs what `need` found missing.
install_needed() {
  [ ${#MISSING[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || die "missing, and only root can install them: apt-get install ${MISSING[*]}"
  say "installing ${MISSING[*]}"
  { apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends "${MISSING[@]}"; } >"$CACHE/apt.log" 2>&1 ||
    { cat "$CACHE/apt.log" >&2; die "apt-get could not install ${MISSING[*]}"; }
}
