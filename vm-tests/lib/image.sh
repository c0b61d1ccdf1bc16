# The guest's root: an ext4 image made from a directory (mkfs.ext4 -d, no mount and no privilege needed). It holds
# busybox, a few real programs with their libraries, agentrc, its tests, and the cases. One image serves all kernels.

# image_program FILE [AS]: copies an ELF program and the libraries that it is linked with.
image_program() {
  local file=$1 as=${2:-/usr/bin/$(basename "$1")} library
  install -D -m 0755 "$file" "$IMAGE$as" || die "could not copy $file"
  { ldd "$file" 2>/dev/null || true; } | grep -o '/[^ ]*' | while read -r library; do
    # /lib and /lib64 are links into /usr in the guest, as on the host.
    [ -e "$IMAGE$library" ] || install -D -m 0755 "$(realpath "$library")" "$IMAGE$(image_usr "$library")"
  done
}

# image_real NAME: the host's own program of that name, instead of busybox's link.
image_real() { rm -f "$IMAGE/usr/bin/$1"; image_program "$(type -P "$1")" "/usr/bin/$1"; }

# image_usr PATH: the same path in a merged /usr.
image_usr() { case $1 in /lib*) echo "/usr$1" ;; *) echo "$1" ;; esac; }

# image_build: makes $CACHE/root.img.
image_build() {
  IMAGE=$CACHE/root.d
  rm -rf "$IMAGE" "$CACHE/root.img"
  mkdir -p "$IMAGE"/{usr/{bin,sbin,lib,lib64,libexec},etc,dev,proc,sys,run,tmp,var/lib,root,home,guest,mnt}
  local link applet file
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$IMAGE/$link"; done
  cp "$(command -v busybox)" "$IMAGE/usr/bin/busybox"
  for applet in $("$IMAGE/usr/bin/busybox" --list | grep -vx busybox); do ln -s busybox "$IMAGE/usr/bin/$applet"; done

  # Copied by tests under other names, which busybox's links do not survive.
  for file in bash dash cat cp ln ls id env sleep touch mkdir rm true false test head wc nice timeout setsid find tar; do
    image_real "$file"
  done
  ln -sf dash "$IMAGE/usr/bin/sh"
  image_program "$(command -v setpriv)"
  image_program "$(command -v pgrep)"
  ln -s pgrep "$IMAGE/usr/bin/pkill"
  image_program "$AGENTRC" /usr/bin/agentrc
  strip "$IMAGE/usr/bin/agentrc" || true # debug information only makes the guest slower

  cat >"$IMAGE/etc/passwd" <<-'END'
	root:x:0:0:root:/root:/bin/bash
	user:x:1000:1000:user:/home/user:/bin/bash
	nobody:x:65534:65534:nobody:/nonexistent:/bin/false
	END
  printf 'root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n' >"$IMAGE/etc/group"
  printf 'passwd: files\ngroup: files\nhosts: files\n' >"$IMAGE/etc/nsswitch.conf"
  printf '127.0.0.1 localhost\n' >"$IMAGE/etc/hosts"
  echo agentrc-vm >"$IMAGE/etc/hostname"
  # What a host has and an agent must not see.
  echo 'root:*:20000:0:99999:7:::' >"$IMAGE/etc/shadow"
  chmod 0640 "$IMAGE/etc/shadow"
  mkdir -p "$IMAGE"/root/.ssh "$IMAGE"/var/lib/dpkg
  echo secret | tee "$IMAGE/root/.ssh/id_ed25519" "$IMAGE/root/.bashrc" "$IMAGE/var/lib/dpkg/status" >/dev/null
  chmod 0700 "$IMAGE/root"
  cp "$HERE"/guest/{init,case.sh} "$IMAGE/guest/"
  chmod 0755 "$IMAGE/guest/init"
  mkdir "$IMAGE/guest/cases"
  for file in "${CASE_FILES[@]}"; do cp "$file" "$IMAGE/guest/cases/"; done
  image_tests

  # Room for what the cases write. Sparse: only what is written takes space.
  mke2fs -q -F -t ext4 -L agentrc-vm -m 0 -O ^has_journal -d "$IMAGE" "$CACHE/root.img" 1G >"$CACHE/mke2fs.log" 2>&1 ||
    die "mkfs.ext4 could not make the guest's root"
}
