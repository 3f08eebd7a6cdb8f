# The first process of an operating system on an instance: systemd, in namespaces within the instance's own.
# $1: the root that it starts from. $2: the name of its control groups. All others: folders that the instance keeps.
set -eu
root=$1 group=$2
shift 2
mkdir -p /run/lab/os/upper /run/lab/os/work /run/os
mount -t overlay os -o "lowerdir=$root,upperdir=/run/lab/os/upper,workdir=/run/lab/os/work" /run/os
# In groups of its own in all hierarchies: whatever it makes is below them, and goes with the lab.
if [ -e /sys/fs/cgroup/cgroup.procs ]; then hierarchies=/sys/fs/cgroup; else hierarchies=$(echo /sys/fs/cgroup/*); fi
for hierarchy in $hierarchies; do
  mine=$hierarchy/$group
  # A boot finds none of the last life's.
  [ ! -d "$mine" ] || find "$mine" -depth -type d -exec rmdir {} +
  mkdir "$mine"
  for file in cpuset.cpus cpuset.mems; do
    # With cgroup v1 these are empty, and nothing may enter.
    [ ! -e /sys/fs/cgroup/cpuset/cgroup.procs ] || [ ! -e "$mine/$file" ] || cat "$hierarchy/$file" >"$mine/$file"
  done
  echo $$ >"$mine/cgroup.procs"
done
for kept; do
  set -- "$@" "--bind=$kept"
  shift
done
# Of the kernel's own settings it may change those of its network only: the others are the machine's.
export SYSTEMD_SECCOMP=0 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
exec systemd-nspawn --directory=/run/os --boot --register=no --keep-unit --capability=all --settings=no \
  --link-journal=no --console=pipe --hostname="$(hostname)" --resolv-conf=replace-host --bind-ro=/etc/hosts \
  --bind-ro=/etc/ssl/certs/ca-certificates.crt "$@"
