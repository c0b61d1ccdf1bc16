# Reads the serial logs. Only a case with an end line and exit code 0 has passed: one that hung, was never started, or
# took the kernel with it has no such line, and is a failure.

# verdict LOG CASE: `ok SECONDS`, or `FAIL REASON`.
verdict() {
  local end; end=$(grep -a "^@@end $2 " "$1" | tail -n1 || true)
  set -- "$1" "$2" $end
  if [ $# -lt 6 ]; then
    if grep -aq "^@@begin $2\$" "$1"; then echo "FAIL did not end"; else echo "FAIL did not run"; fi
  elif [ "$5" = 0 ]; then echo "ok $6"
  elif [ "$5" = 124 ] || [ "$5" = 137 ] || [ "$5" = 143 ]; then echo "FAIL timed out after $6 s"
  else echo "FAIL exit code $5"
  fi
}

# verdicts: `kernel case verdict…`, one per line.
verdicts() {
  local number=0 line kernel cmdline cases case
  for line in "${BOOTS[@]}"; do
    IFS='|' read -r kernel _ _ cmdline _ cases <<<"$line"
    number=$((number + 1))
    for case in ${cases//,/ }; do
      echo "$kernel $case $number $(verdict "$CACHE/logs/boot-$number" "$case")"
    done
  done
}

# report: one line per kernel and case, what a failed case said, and the sum. Returns 1 if any has failed.
report() {
  local kernel case number word rest passed=0 failed=0
  while read -r kernel case number word rest; do
    if [ "$word" = ok ]; then
      passed=$((passed + 1)); printf 'ok    %-5s %-28s %s s\n' "$kernel" "$case" "$rest"
    else
      failed=$((failed + 1)); printf 'FAIL  %-5s %-28s %s (%s)\n' "$kernel" "$case" "$rest" "$CACHE/logs/boot-$number"
      sed -n "/^@@begin $case\$/,/^@@end $case /p" "$CACHE/logs/boot-$number" | sed 's/^/      /'
      grep -aq "^@@begin $case\$" "$CACHE/logs/boot-$number" || tail -n 20 "$CACHE/logs/boot-$number" | sed 's/^/      /'
    fi
  done < <(verdicts)
  [ $failed -gt 0 ] || rm -f "$CACHE"/logs/*
  echo "$passed passed, $failed failed"
  [ $failed -eq 0 ] && [ $passed -gt 0 ]
}

# report_self_test: each case of vm-tests/self-test says in `# expect:` what its verdict must be, and since some of
# them fail, `report` must say so too.
report_self_test() {
  local kernel case number word rest expected wrong=0 right=0
  while read -r kernel case number word rest; do
    expected=$(header "$CASE_DIR/${case%@*}.sh" expect)
    if [[ "$word $rest" = $expected* ]]; then
      right=$((right + 1)); printf 'ok    %-5s %-28s is reported as: %s %s\n' "$kernel" "$case" "$word" "$rest"
    else
      wrong=$((wrong + 1)); printf 'FAIL  %-5s %-28s is reported as: %s %s, not: %s\n' "$kernel" "$case" "$word" "$rest" "$expected"
    fi
  done < <(verdicts)
  if (report >/dev/null); then
    wrong=$((wrong + 1)); echo "FAIL  the failures above are reported as a success"
  fi
  echo "$right passed, $wrong failed"
  [ $wrong -eq 0 ] && [ $right -gt 0 ]
}
