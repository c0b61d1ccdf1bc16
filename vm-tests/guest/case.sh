# Runs one case (vm-tests/cases/NAME.sh) in the guest, and is the vocabulary that it is written in. $AS says as whom
# agentrc is run: `root`, `user` (uid 1000, in a cgroup that systemd would delegate to it) or `session` (uid 1000, in
# a session scope that is not its own). The case itself is root: it takes its verdicts from outside the sandbox.
set -u
FAILED=0 CHECKS=0

# ok WHAT / not_ok WHAT [OUTPUT]: one verdict.
ok() { CHECKS=$((CHECKS + 1)); echo "  ok: $1"; }
not_ok() { CHECKS=$((CHECKS + 1)); FAILED=$((FAILED + 1)); echo "  NOT OK: $1"; shift; [ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/    | /'; }

# check WHAT COMMAND…: the command succeeds.
check() {
  local what=$1 output; shift
  if output=$("$@" 2>&1); then ok "$what"; else not_ok "$what" "exit code $?" "$output"; fi
}

# exits CODE WHAT COMMAND…: the command exits with CODE. Its output is left in $OUTPUT.
exits() {
  local code=$1 what=$2 got; shift 2
  OUTPUT=$("$@" 2>&1); got=$?
  if [ $got -eq "$code" ]; then ok "$what"; else not_ok "$what" "exit code $got, not $code" "$OUTPUT"; fi
}

# says PATTERN WHAT: $OUTPUT of the last `exits` has a line that matches (extended, case does not matter).
says() { if grep -qiE -- "$1" <<<"$OUTPUT"; then ok "$2"; else not_ok "$2" "nothing matches /$1/ in" "$OUTPUT"; fi; }

# says_not PATTERN WHAT: it has none.
says_not() { if grep -qiE -- "$1" <<<"$OUTPUT"; then not_ok "$2" "something matches /$1/ in" "$OUTPUT"; else ok "$2"; fi; }

# within SECONDS COMMAND…: the command succeeds before that.
within() {
  local tries=$(($1 * 10)); shift
  while [ $tries -gt 0 ]; do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; tries=$((tries - 1)); done
  return 1
}

# as_caller COMMAND…: runs a command as $AS, in a cgroup of its own as `systemd-run --scope` would make it, with an
# environment from scratch.
as_caller() {
  local slice id home scope file
  case $AS in
    root) id=0 home=/root slice=user.slice/user-0.slice ;;
    user) id=1000 home=/home/user slice=user.slice/user-1000.slice/user@1000.service/app.slice ;;
    session) id=1000 home=/home/user slice=user.slice/user-1000.slice ;;
  esac
  scope=/sys/fs/cgroup/$slice/run-$$-$RANDOM.scope
  mkdir "$scope" || return 99
  if [ "$AS" = user ]; then # Delegate=yes
    chown 1000:1000 "$scope"
    for file in $(cat /sys/kernel/cgroup/delegate); do [ ! -e "$scope/$file" ] || chown 1000:1000 "$scope/$file"; done
  fi
  (
    cd "$WORK" && echo "$BASHPID" >"$scope/cgroup.procs" &&
      exec setpriv --reuid "$id" --regid "$id" --clear-groups env -i PATH=/usr/bin:/usr/sbin HOME="$home" \
        XDG_STATE_HOME="$BASE/state" XDG_CONFIG_HOME="$BASE/config" XDG_RUNTIME_DIR="/run/user/$id" "$@"
  )
}

# agentfile LINE…: writes $WORK/Agentfile.
agentfile() { printf '%s\n' "$@" >"$WORK/Agentfile"; chown -R "$OWNER:$OWNER" "$WORK"; }

# audit_log: the audit log of the newest run of this case. newest_run: its name.
audit_log() {
  local log newest=
  for log in "$BASE"/state/agentrc/runs/*/audit.jsonl; do [ ! -e "$log" ] || [ "$log" -ot "$newest" ] || newest=$log; done
  echo "$newest"
}
newest_run() { basename "$(dirname "$(audit_log)")"; }

# logged PATTERN WHAT: some event of the audit log matches.
logged() {
  local log; log=$(audit_log)
  if [ -z "$log" ]; then not_ok "$2" "there is no audit log"; return; fi
  if grep -qE -- "$1" "$log"; then ok "$2"; else not_ok "$2" "nothing matches /$1/ in $log" "$(cat "$log")"; fi
}

# tests_pass NAME: the behaviour test tests/NAME.rs passes here. It tests both root and an ordinary user itself.
tests_pass() {
  local output
  output=$(AGENTRC_TEST_BINARY=/usr/bin/agentrc AGENTRC_TEST_ATTACKER=/guest/attack "/guest/tests/$1" --test-threads=1 2>&1)
  if [ $? -eq 0 ] && grep -q '^test result: ok. [1-9][0-9]* passed; 0 failed; 0 ignored' <<<"$output"; then
    ok "$(grep '^test result' <<<"$output")"
  else
    not_ok "tests/$1.rs passes" "$output"
  fi
}

case $AS in root) OWNER=0 ;; user | session) OWNER=1000 ;; *) echo "nobody is called $AS"; exit 99 ;; esac
mkdir -p /run/user/0
# The Agentfile's folder, $WORK, is beside the state folder, which no bind may show.
BASE=$(mktemp -d /home/case.XXXXXX)
WORK=$BASE/project
mkdir "$WORK"
chmod 755 "$BASE"
chown -R $OWNER:$OWNER "$BASE"
cd "$WORK" || exit 99

# shellcheck source=/dev/null
. "$1" || not_ok "the case itself ran to its end"
[ $CHECKS -gt 0 ] || not_ok "the case checked something"
[ $FAILED -eq 0 ] || { dmesg | tail -n 5; exit 1; }
