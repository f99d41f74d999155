#!/usr/bin/env bash
# container.sh - a machine with a real systemd for one test: systemd-nspawn over an overlay of this one's root.
#
#   container.sh prepare NAME        the root folder, to be filled; prints its path
#   container.sh boot NAME NETNS     boot it in a network namespace, wait until it is up
#   container.sh reboot NAME         reboot it, wait until it is up again
#   container.sh exec NAME CMD...    run CMD inside
#   container.sh down NAME           end it and remove every trace
#
# Changes live in a tmpfs. Nothing that this machine has enabled starts inside: /etc/systemd/system begins
# empty. Works where PID 1 is not systemd and where the cgroups are hybrid (inside they are v2 only). Needs
# root and systemd-container.
set -euo pipefail

act=${1:?prepare, boot, reboot, exec or down} name=${2:?name of the container}
shift 2
base=/run/gatewatch-test/$name
root=$base/root

# A zombie has ended: PID 1 of some machines reaps late.
lives() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }
inside() { nsenter -t "$(cat "$base/init")" -a -- "$@"; }

groups() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo "/sys/fs/cgroup/$name"
    else
        echo "/sys/fs/cgroup/systemd/$name" "/sys/fs/cgroup/unified/$name"
    fi
}

ended() { # ended PID: waits 10 s for its end
    local try
    for ((try = 0; try < 200; try++)); do
        lives "$1" || return 0
        sleep 0.05
    done
    return 1
}

down() {
    local group
    if [ -f "$base/nspawn" ]; then
        kill -TERM "$(cat "$base/nspawn")" 2>/dev/null || :
        ended "$(cat "$base/nspawn")" || kill -KILL "$(cat "$base/nspawn")"
    fi
    umount -l "$root" 2>/dev/null || :
    umount -l "$base" 2>/dev/null || :
    rmdir "$base" 2>/dev/null || :
    for group in $(groups); do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || :
    done
}

prepare() {
    local unit
    down
    mkdir -p "$base"
    mount -t tmpfs -o size=1g,mode=755 "$name" "$base"
    mkdir "$base/upper" "$base/work" "$root"
    mount -t overlay "$name" -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
    rm -rf "$root/etc/systemd/system" "$root/var/log/journal"
    mkdir -p "$root/etc/systemd/system" "$root/etc/systemd/system-generators" "$root/var/log/journal"
    : > "$root/etc/fstab"
    # A machine id, else systemd takes this for its first boot and enables everything.
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' > "$root/etc/machine-id"
    ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-sysv-generator"
    for unit in console-getty.service getty.target systemd-networkd-wait-online.service \
        systemd-update-utmp.service; do
        ln -s /dev/null "$root/etc/systemd/system/$unit"
    done
    echo "$root"
}

boot() { # boot OLD: OLD is the systemd before a reboot, or 0
    local group try process
    for group in $(groups); do mkdir -p "$group"; done
    (
        for group in $(groups); do echo $BASHPID > "$group/cgroup.procs"; done
        export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
        # bpf, so that IPAddressDeny= and DevicePolicy= hold inside; @keyring for KeyringMode=.
        exec setsid nsenter --net="/run/netns/$(cat "$base/netns")" systemd-nspawn --quiet --boot \
            --directory="$root" --machine="$name" --register=no --keep-unit --link-journal=no \
            --console=read-only --resolv-conf=off --timezone=off \
            --capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN \
            --system-call-filter=bpf --system-call-filter=@keyring \
            < /dev/null >> "$base/console" 2>&1
    ) &
    echo $! > "$base/nspawn"
    for ((try = 0; try < 1200; try++)); do
        lives "$(cat "$base/nspawn")" || break
        for process in $(cat "/proc/$(cat "$base/nspawn")/task/"*/children 2>/dev/null); do
            [ "$(cat "/proc/$process/comm" 2>/dev/null)" = systemd ] && [ "$process" != "$1" ] || continue
            echo "$process" > "$base/init"
            case $(inside systemctl is-system-running 2>/dev/null || :) in
                running | degraded) return 0 ;;
            esac
        done
        sleep 0.05
    done
    echo "container.sh: it did not boot; the end of its console:" >&2
    tail -20 "$base/console" >&2
    return 1
}

case $act in
    prepare) prepare ;;
    boot)
        echo "${1:?network namespace}" > "$base/netns"
        boot 0
        ;;
    reboot)
        old=$(cat "$base/init")
        inside systemctl reboot || :
        # nspawn ends when its systemd reboots.
        ended "$(cat "$base/nspawn")" && boot "$old"
        ;;
    exec) inside "$@" ;;
    down) down ;;
    *)
        sed -n '2,/^set -e/{/^set/d;s/^# \{0,1\}//;p}' "$0"
        exit 64
        ;;
esac
