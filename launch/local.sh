#!/usr/bin/env bash
# Start N processes of one run on this machine, to try out a run on several hosts:
#
#     launch/local.sh 2 -- --config configs/quickstart.py --workdir runs/two
#
# The arguments after -- go to python -m blindsr_jax.main. The exit code is that of the first process that failed. The
# others get GRACE seconds (30) to notice the failure, then they are killed. Ctrl-C and SIGTERM are passed on to all.
set -uom pipefail # m: each process has a separate group, so that it gets Ctrl-C only from this script

if [[ $# -lt 3 || ! $1 =~ ^[1-9][0-9]*$ || $2 != -- ]]; then
    echo "usage: $0 N -- --config CONFIG --workdir WORKDIR [ARGUMENT ...]" >&2
    exit 2
fi
processes=$1
shift 2
python=${PYTHON:-python3}
port=$("$python" -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])') || exit 1

pids=()
pass_on() {
    for pid in "${pids[@]}"; do
        kill -s "$1" "$pid" 2>/dev/null
    done
}
trap 'pass_on TERM' TERM
trap 'pass_on INT' INT

for ((id = 0; id < processes; id++)); do
    JAX_COORDINATOR_ADDRESS=127.0.0.1:$port JAX_NUM_PROCESSES=$processes JAX_PROCESS_ID=$id JAX_LOCAL_DEVICE_IDS=$id \
        "$python" -m blindsr_jax.main "$@" &
    pids+=($!)
done

status=0
deadline=
while [[ ${#pids[@]} -gt 0 ]]; do
    sleep 0.2
    for index in "${!pids[@]}"; do
        kill -0 "${pids[index]}" 2>/dev/null && continue
        wait "${pids[index]}"
        code=$?
        unset "pids[index]"
        if [[ $code -ne 0 && $status -eq 0 ]]; then
            status=$code
            deadline=$((SECONDS + ${GRACE:-30}))
        fi
    done
    if [[ -n $deadline && $SECONDS -ge $deadline ]]; then
        pass_on KILL
    fi
done
exit "$status"
