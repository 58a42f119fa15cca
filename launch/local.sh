#!/usr/bin/env bash
# N processes of one run on this machine, to try out what several hosts do:
#
#     launch/local.sh 2 -- --config configs/quickstart.py --workdir runs/two
#
# All that follows -- goes to python -m blindsr_jax.main. Ends with the exit code of the first process that failed; the
# others are then given GRACE seconds (30) to notice. Ctrl-C and SIGTERM are passed on to all of them.
set -uo pipefail

if [[ $# -lt 3 || ! $1 =~ ^[1-9][0-9]*$ || $2 != -- ]]; then
    echo "usage: $0 N -- --config CONFIG --workdir WORKDIR [ARGUMENT ...]" >&2
    exit 2
fi
processes=$1
shift 2
python=${PYTHON:-python3}
port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])') || exit 1

pids=()
status=0
pass_on() {
    for pid in "${pids[@]}"; do
        kill -s "$1" "$pid" 2>/dev/null
    done
}
trap 'pass_on TERM' TERM
trap 'pass_on INT' INT

for ((id = 0; id < processes; id++)); do
    # The first process alone draws progress bars; background jobs of a script would ignore Ctrl-C without env's help.
    JAX_COORDINATOR_ADDRESS=127.0.0.1:$port JAX_NUM_PROCESSES=$processes JAX_PROCESS_ID=$id JAX_LOCAL_DEVICE_IDS=$id \
        env --default-signal=INT "$python" -m blindsr_jax.main "$@" &
    pids+=($!)
done

deadline=
while [[ -n $(jobs -rp) ]]; do
    sleep 0.2
    for index in "${!pids[@]}"; do
        kill -0 "${pids[index]}" 2>/dev/null && continue
        wait "${pids[index]}"
        code=$?
        unset 'pids[index]'
        if [[ $code -ne 0 && $status -eq 0 ]]; then
            status=$code
            deadline=$((SECONDS + ${GRACE:-30}))
        fi
    done
    if [[ -n $deadline && $SECONDS -ge $deadline ]]; then
        pass_on KILL
    fi
done
for pid in "${pids[@]}"; do
    wait "$pid"
    code=$?
    [[ $status -eq 0 ]] && status=$code
done
exit "$status"
