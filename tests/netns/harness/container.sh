#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: container.sh ROOT SCRATCH
#
# Becomes systemd, as process 1 of a container: called inside of new mount, pid, uts and ipc
# namespaces. What it sees of the machine is a copy on write of its files; SCRATCH, an empty folder,
# holds what is written and what was put into SCRATCH/files before. ROOT is the mount point. Exit status
# 77: not on this machine.
set -euo pipefail
root=$1 scratch=$2

mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$scratch/tmpfs"
mkdir "$scratch/tmpfs/upper" "$scratch/tmpfs/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/tmpfs/upper,workdir=$scratch/tmpfs/work" "$root" ||
	exit 77
cp -r "$scratch/files/." "$root/"
rm -f "$root/etc/fstab"
echo > "$root/etc/machine-id"

# The kernel's settings are the machine's: for reading only, and then systemd leaves them alone.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /sys/fs/bpf "$root/sys/fs/bpf"
for place in run tmp var/tmp; do
	mount -t tmpfs tmpfs "$root/$place"
done
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
	mknod -m 0666 "$root/dev/$node" c $((0x$(stat -c %t "/dev/$node"))) $((0x$(stat -c %T "/dev/$node")))
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

cd "$root"
exec env -i container=botls PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . \
	/lib/systemd/systemd --unit=basic.target --log-target=console --log-level=notice --show-status=no
