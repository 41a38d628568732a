# Ends the servers of one control plane. Its standard input is a pipe that the test program holds open:
# the input ends when that program is done with the servers, or dead, by whatever means.
# usage: keeper.sh FOLDER
folder=$1
trap '' HUP INT TERM
echo $$ >"$folder/keeper"
cat >/dev/null

# A server that starts now finds this file after it wrote its pid file, and gives up; one that wrote its
# pid file before is found below.
: >"$folder/closed"

alive() { # a zombie answers signals but is no longer running
    kill -0 "$1" 2>/dev/null || return 1
    case $(ps -o stat= -p "$1" 2>/dev/null) in Z*) return 1 ;; esac
}

pids=$(cat "$folder"/*.pid 2>/dev/null)
# Every server leads a process group of its own: a negative number means the whole group.
for pid in $pids; do kill -TERM "-$pid" 2>/dev/null; done
# One second: their data is thrown away, and an API server whose etcd is gone would wait much longer.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    left=""
    for pid in $pids; do alive "$pid" && left="$left $pid"; done
    [ -z "$left" ] && break
    sleep 0.1
done
for pid in $left; do kill -KILL "-$pid" 2>/dev/null; done
[ -e "$folder/keep" ] || rm -rf "$folder"
