#!/usr/bin/env bash
# Run the same command on all hosts of a Cloud TPU slice. JAX detects the other hosts:
#
#     launch/tpu_vm.sh TPU ZONE -- --config configs/dan_x4.py --workdir /mnt/shared/runs/dan_x4
#
# Needs gcloud, and on each host this repository in ~/blindsr_jax, installed with pip install -e '.[train,tpu]'. The
# workdir must be on a file system that all hosts mount. The run is restarted unless it ends with 0, 1, 2 or 130.
set -uo pipefail

if [[ $# -lt 4 || $3 != -- ]]; then
    echo "usage: $0 TPU ZONE -- --config CONFIG --workdir WORKDIR [ARGUMENT ...]" >&2
    exit 2
fi
tpu=$1
zone=$2
shift 3
command="cd ~/blindsr_jax && exec python3 -m blindsr_jax.main$(printf ' %q' "$@")"

for ((restart = 0; restart <= ${MOST_RESTARTS:-50}; restart++)); do
    gcloud compute tpus tpu-vm ssh "$tpu" --zone "$zone" --worker=all --command "$command"
    code=$?
    case $code in
        0 | 1 | 2 | 130) exit "$code" ;;
    esac
    echo "exit code $code: starting again" >&2
    sleep 10
done
exit "$code"
