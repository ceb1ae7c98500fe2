#!/busybox sh
# The first process of the guest: mounts what there is, runs the tests, switches the machine off.
# Its arguments, from the kernel's command line: the repository's root, then those of unittest.
busybox=/busybox
off() { $busybox poweroff -f; }
$busybox mount -t proc proc /proc
for driver in /drivers/*.ko; do $busybox insmod "$driver" || off; done
$busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 root /lower || off
$busybox mount -t tmpfs tmpfs /upper
$busybox mkdir /upper/files /upper/work
$busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root || off
$busybox mount -t proc proc /root/proc
$busybox mount -t sysfs sysfs /root/sys
$busybox mount -t devtmpfs dev /root/dev
$busybox mkdir -p /root/dev/shm
for folder in /dev/shm /run; do $busybox mount -t tmpfs -o mode=1777 tmpfs "/root$folder"; done
$busybox mount -t cgroup2 -o nsdelegate cgroup2 /root/sys/fs/cgroup
$busybox ip link set lo up
root=$1
shift
# Not chroot, in which no user namespace can be made.
exec $busybox switch_root /root /bin/sh -c '
    cd "$0/Tests/Cgroup" && export HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
    echo "+memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
    python3 -m unittest "$@" 2>&1
    echo "tests ended with status $?"
    echo o > /proc/sysrq-trigger
    while :; do :; done' "$root" "$@"
