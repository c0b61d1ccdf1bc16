# A kernel is a Debian package that is downloaded and unpacked, never installed. `apt-get download` checks the
# archive's signature and the file's hash; unsigned archives are refused here whatever the machine's setting is.

# kernel_fetch NAME PATTERN: unpacks the newest matching package, and sets up $CACHE/kernels/NAME/{vmlinuz,initrd}.
kernel_fetch() {
  local name=$1 pattern=$2 package version to=$CACHE/kernels/$1
  package=$(apt-cache search --names-only "^$pattern\$" | cut -d' ' -f1 | sort -V | tail -n1)
  [ -n "$package" ] || die "no package matches $pattern: run \`apt-get update\`; Debian 12 and its security archive have it"
  version=$(apt-cache policy "$package" | sed -n 's/^ *Candidate: //p')
  if [ "$(cat "$to/version" 2>/dev/null)" != "$package $version" ]; then
    say "fetching $package $version"
    rm -rf "$to"; mkdir -p "$to/deb"
    (cd "$to/deb" && apt-get -qq -o APT::Sandbox::User=root -o APT::Get::AllowUnauthenticated=false \
      -o Acquire::AllowInsecureRepositories=false download "$package=$version") || die "could not download $package"
    dpkg -x "$to"/deb/*.deb "$to/tree" || die "could not unpack $package"
    cp "$to"/tree/boot/vmlinuz-* "$to/vmlinuz" || die "$package has no /boot/vmlinuz"
    kernel_modules "$to" || die "$package lacks a module that the guest needs"
    rm -rf "$to/deb" "$to/tree"
    echo "$package $version" >"$to/version"
  fi
  kernel_initrd "$to" || die "could not pack the initramfs of $name"
}

# kernel_modules DIR: copies the modules that the guest needs, with what they depend on, in the order of loading.
kernel_modules() {
  local dir=$1 release module file name number=10
  release=$(basename "$dir"/tree/lib/modules/*)
  depmod -b "$dir/tree" "$release" || return 1
  mkdir -p "$dir/modules"
  for module in virtio_pci virtio_blk overlay loop nfnetlink; do # the last two for attacks, which must work outside
    while read -r action file _; do
      [ "$action" = insmod ] || continue # `builtin`
      name=$(basename "${file%.xz}")
      compgen -G "$dir/modules/*-$name" >/dev/null && continue # two modules may share one
      case $file in
        *.xz) xz -dc "$file" >"$dir/modules/$number-$name" || return 1 ;;
        *) cp "$file" "$dir/modules/$number-$name" || return 1 ;;
      esac
      number=$((number + 1))
    done < <(modprobe -d "$dir/tree" -S "$release" --show-depends "$module")
  done
  compgen -G "$dir/modules/*-virtio_blk.ko" >/dev/null && compgen -G "$dir/modules/*-overlay.ko" >/dev/null
}

# kernel_initrd DIR: just enough to find the root disk: busybox, the modules, guest/initrd-init.
kernel_initrd() {
  local dir=$1 root=$1/initrd.d
  rm -rf "$root"; mkdir -p "$root"/{bin,dev,proc,sys,root,modules}
  cp "$(command -v busybox)" "$root/bin/busybox" && cp "$dir"/modules/* "$root/modules/" &&
    install -m 0755 "$HERE/guest/initrd-init" "$root/init" || return 1
  (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$dir/initrd" || return 1
  rm -rf "$root"
}
