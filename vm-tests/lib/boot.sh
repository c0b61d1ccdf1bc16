# One boot of one kernel. KVM where the machine has real hardware virtualisation, else QEMU's own emulation (TCG):
# a machine that is itself a guest may show /dev/kvm and still not run a stock kernel.

accelerator() {
  if [ -w /dev/kvm ] && { [ -d /sys/module/kvm_intel ] || [ -d /sys/module/kvm_amd ]; }; then echo kvm; else echo tcg; fi
}

# boot KERNEL_DIR CMDLINE SECONDS LOG: runs the guest to its end. Its serial console goes to LOG.
boot() {
  local dir=$1 cmdline=$2 seconds=$3 log=$4 accel cpu=max
  accel=$(accelerator)
  [ "$accel" = kvm ] && cpu=host
  # snapshot=on: what the guest writes is thrown away, so that each boot starts from the same root.
  timeout -k 5 "$seconds" qemu-system-x86_64 -accel "$accel" -cpu "$cpu" -m 768 -smp 1 \
    -nodefaults -no-user-config -display none -monitor none -serial stdio -no-reboot \
    -drive "file=$CACHE/root.img,format=raw,if=virtio,snapshot=on" \
    -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
    -append "console=ttyS0 quiet loglevel=3 panic=-1 reboot=t mitigations=off $cmdline" \
    </dev/null >"$log.raw" 2>&1
  local code=$?
  tr -d '\r' <"$log.raw" >"$log"; rm -f "$log.raw"
  [ $code -eq 124 ] && echo "vm-tests: the guest was stopped after $seconds s" >>"$log"
  return 0 # the verdict is in the log: a case without an end line has not passed
}
