# A declared destination is reached through the gateway, and nothing else; as root the eBPF filter is attached and heard.
# as: root user
# An address of the internet, here the guest's own: no packet leaves it.
ip address add 93.184.216.34/32 dev lo 2>/dev/null
echo '93.184.216.34 api.example.com evil.example.org' >>/etc/hosts
mkdir served && echo served >served/file
server() { busybox httpd -f -p "$1" -h "$WORK/served" & echo $! >>pids; }
server 93.184.216.34:80; server 93.184.216.34:81; server 127.0.0.1:80
reached() { busybox wget -q -O - "$1" | grep -qx served; }
check "the server answers" within 10 reached http://93.184.216.34/file
check "on the other port, too" within 10 reached http://93.184.216.34:81/file
check "and on the loopback" within 10 reached http://127.0.0.1/file

# Not busybox's wget: linked statically it crashes where `nsswitch.conf` names `dns`, sandbox or not.
cat >fetch.sh <<'SH'
#!/bin/bash
# HOST:PORT…: what each serves.
exec 2>&1
for to in "$@"; do
  answer=$(exec 3<>"/dev/tcp/${to%:*}/${to##*:}" &&
    printf 'GET /file HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "${to%:80}" >&3 && tail -n1 <&3)
  echo "$to: $answer"
done
SH
chmod +x fetch.sh
places='api.example.com:80 evil.example.org:80 93.184.216.34:80 93.184.216.34:81 127.0.0.1:80 api.example.com:81'
check "control: all of them are reached outside" test "$(as_caller ./fetch.sh $places | grep -c ': served$')" = 6
agentfile 'AGENT network' "CMD ./fetch.sh $places" 'URL http://api.example.com'
exits 0 "a program runs" as_caller agentrc run ./Agentfile
says '^api.example.com:80: served$' "the declared destination is reached"
check "and nothing else is" test "$(grep -c 'served' <<<"$OUTPUT")" = 1
logged '"event":"denial".*"act":"resolve evil.example.org"' "a name that no line declares is denied, and on record"
if [ "$AS" = root ]; then
  logged '"layer":"ebpf","read_back":\{"attached":"yes"' "the eBPF filter is attached"
  logged '"event":"denial","layer":"ebpf","act":"connect 93.184.216.34:80"' "and its denial of an address is on record"
  # Of a port that is declared elsewhere: on others Landlock is first, from ABI 4 on, and leaves no event.
  logged '"event":"denial","layer":"ebpf","act":"connect 127.0.0.1:80"' "as that of the host's loopback"
else
  logged '"layer":"ebpf","read_back":\{"attached":"no: this process lacks ' "there is no eBPF filter, and the log says why"
fi

# The host's loopback is reached only where it is declared, and consented to.
agentfile 'AGENT network' 'CMD ./fetch.sh 127.0.0.1:80' 'URL http://127.0.0.1'
exits 125 "a destination on the host's loopback is refused without consent" as_caller agentrc run ./Agentfile
exits 0 "and with it" as_caller agentrc run --grant ./Agentfile
says '^127.0.0.1:80: served$' "it is reached"

mkdir -p "$BASE/config/agentrc"
printf '[enforcement]\nrequire = ["ebpf"]\n' >"$BASE/config/agentrc/agentrc.toml"
chown -R "$OWNER:$OWNER" "$BASE/config"
agentfile 'AGENT network' 'CMD ./fetch.sh api.example.com:80' 'URL http://api.example.com'
if [ "$AS" = root ]; then
  exits 0 "where the filter is required, root's run goes on" as_caller agentrc run ./Agentfile
  says ': served$' "and reaches what is declared"
else
  exits 125 "where the filter is required, a user's run is refused" as_caller agentrc run ./Agentfile
  says 'agentrc.toml:2:' "and the place is named"
fi
while read -r pid; do kill "$pid"; done <pids
sed -i '/^93.184.216.34 /d' /etc/hosts
