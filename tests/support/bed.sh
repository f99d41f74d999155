#!/usr/bin/env bash
# bed.sh - a network of its own for one test: client -- gateway -- server, in three network namespaces.
#
#   bed.sh up NAME      build it         bed.sh down NAME    remove it, with every process in it
#   bed.sh wan NAME     make the link to the client again, after it was deleted
#
# The gateway forwards between wan0 (198.51.100.1, 2001:db8:1::1) and lan0 (203.0.113.1, 2001:db8:2::1); the
# server is 203.0.113.10 and 2001:db8:2::10. Every address outside these networks belongs to the client: it
# may send from any, so a test can have visitors from every country. Nothing in it reaches a real network:
# the namespaces hold veth pairs only. Needs root and iproute2; ethtool where present.
set -euo pipefail

act=${1:?up, down or wan} name=${2:?name of the bed}
client=$name-client gateway=$name-gateway server=$name-server

down() {
    local space pid
    for space in "$client" "$gateway" "$server"; do
        [ -e "/run/netns/$space" ] || continue
        for pid in $(ip netns pids "$space"); do kill -9 "$pid" 2>/dev/null || :; done
        ip netns del "$space"
    done
}

up() {
    local space
    for space in "$client" "$gateway" "$server"; do
        ip netns add "$space"
        # Addresses work at once, answers may leave by another way than the question came.
        ip netns exec "$space" sh -c '
            ip link set lo up
            echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
            echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
            echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
            echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter
            echo 1 > /proc/sys/net/ipv4/ip_forward
            echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
    done
    ip link add lan0 netns "$gateway" type veth peer name eth0 netns "$server"
    ip -n "$gateway" -batch - <<-END
	addr add 203.0.113.1/24 dev lan0
	addr add 2001:db8:2::1/64 dev lan0
	link set lan0 up
	END
    wan
    ip -n "$server" -batch - <<-END
	addr add 203.0.113.10/24 dev eth0
	addr add 2001:db8:2::10/64 dev eth0
	link set eth0 up
	route add default via 203.0.113.1
	route add ::/0 via 2001:db8:2::1
	END
    plain "$server"
}

# Frames as they are on a wire: no bundles of 64 KiB, checksums filled in.
plain() {
    ! command -v ethtool >/dev/null \
        || ip netns exec "$1" ethtool -K eth0 tx off tso off gso off gro off >/dev/null 2>&1 || :
}

wan() { # the link to the client, also after it was deleted
    ip link add wan0 netns "$gateway" type veth peer name eth0 netns "$client"
    ip -n "$gateway" -batch - <<-END
	addr add 198.51.100.1/24 dev wan0
	addr add 2001:db8:1::1/64 dev wan0
	link set wan0 up
	route add default via 198.51.100.2
	route add ::/0 via 2001:db8:1::2
	END
    ip -n "$client" -batch - <<-END
	addr add 198.51.100.2/24 dev eth0
	addr add 2001:db8:1::2/64 dev eth0
	link set eth0 up
	route add 203.0.113.0/24 via 198.51.100.1
	route add 2001:db8:2::/64 via 2001:db8:1::1
	END
    plain "$client"
}

case $act in
    up) down; up ;;
    wan) wan ;;
    down) down ;;
    *) sed -n '2,/^set -e/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 64 ;;
esac
