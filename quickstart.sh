#!/usr/bin/env bash
# Trains a small language model on this machine, uncompressed and with 1-bit Adam, and compares the
# two. See --help.
set -euo pipefail
CALLED_FROM="${PWD}"
cd "$(dirname "${BASH_SOURCE[0]}")"
ROOT="${PWD}"
readonly CALLED_FROM ROOT

usage() {
  cat <<'END'
Usage: ./quickstart.sh [OPTION...]

Starts aggregators and workers as processes of this machine, trains a character-level transformer
of 0.8 million parameters through them, once per optimizer, and ends with a table, a picture of the
loss curves and summary.json. Installs (Debian, Ubuntu) and builds what is missing first; after
that the default takes less than three minutes on two cores.

  --optimizer NAME[,NAME]  methods to train with, in turn; `all`: every method, each beside its
                           uncompressed twin. A method may have settings of its own behind colons:
                           birder:learning_rate=1e-3:vote_counts  (dense_adam,onebit_adam)
  --settings NAME=VALUE[:NAME=VALUE]
                           settings of all methods, such as batch=12:seed=2; a setting is a flag of
                           the trainer, whose --help lists them   (none)
  --workers N              worker processes, 1 to 64              (4)
  --aggregators N          aggregator processes, 1 to 64          (2)
  --rounds N               steps per run, 10 to 1000000; some of them are the uncompressed
                           warm-up of methods that have one       (600)
  --text FILE              a text file, or a directory of them    (/usr/share/common-licenses)
  --chaos                  trains the last method a second time while the aggregators are killed with
                           SIGKILL, one every 5 s, and started again with empty memories: both runs
                           end with the same parameters. Then a third time, while workers are killed
                           and come again, one stands still, and aggregators are killed: the workers
                           end with one another's parameters, and near the undisturbed loss
  --out DIR                where the results go                   (out/quickstart)
  --help                   this text

Fails, and says why, if a process fails, if the workers of a run end with different parameters, or
if 1-bit Adam's validation loss is more than 3 % above that of dense_adam.
END
}

fail() {
  echo "quickstart.sh: $*" >&2
  exit 1
}

# usage_error MESSAGE: what is wrong with the command line.
usage_error() {
  echo "quickstart.sh: $*; see --help" >&2
  exit 2
}

# check_number OPTION VALUE LOWEST HIGHEST
check_number() {
  if ! [[ "$2" =~ ^[1-9][0-9]{0,8}$ ]] || (($2 < $3 || $2 > $4)); then
    usage_error "$1 = '$2', must be a whole number from $3 to $4"
  fi
}

readonly ALL_OPTIMIZERS=dense_adam,onebit_adam,zeroone_adam,birder,birder:vote_counts,\
dense_lamb,onebit_lamb,dense_amsgrad,cd_adam,sketched_amsgrad,sketched_amsgrad:small_sketch,\
dense_sgd,sign_sgd,topk_sgd,sketched_sgd
optimizers=dense_adam,onebit_adam
workers=4
aggregators=2
rounds=600
settings=""
text=/usr/share/common-licenses
chaos=""
out="${ROOT}/out/quickstart"

read_options() {
  while (($# > 0)); do
    local option="$1" value
    case "${option}" in
      --help | -h)
        usage
        exit 0
        ;;
      --chaos)
        chaos=yes
        shift
        continue
        ;;
      --*=*)
        value="${option#*=}"
        option="${option%%=*}"
        shift
        ;;
      --optimizer | --settings | --workers | --aggregators | --rounds | --text | --out)
        (($# >= 2)) || usage_error "${option} must have a value"
        value="$2"
        shift 2
        ;;
      *) usage_error "'${option}' is no option" ;;
    esac
    case "${option}" in
      --optimizer) optimizers="${value}" ;;
      --settings) settings="${value}" ;;
      --workers) workers="${value}" ;;
      --aggregators) aggregators="${value}" ;;
      --rounds) rounds="${value}" ;;
      --text) text="${value}" ;;
      --out) out="${value}" ;;
      *) usage_error "'${option}' is no option" ;;
    esac
  done
}

check_options() {
  [[ "${optimizers}" != all ]] || optimizers="${ALL_OPTIMIZERS}"
  local setting='[a-z0-9_]+(=[A-Za-z0-9_.+-]+)?'
  [[ "${optimizers}" =~ ^[a-z0-9_]+(:${setting})*(,[a-z0-9_]+(:${setting})*)*$ ]] ||
    usage_error "--optimizer = '${optimizers}', must be NAME[:SETTING], or several separated by" \
      "commas"
  [[ -z "${settings}" || "${settings}" =~ ^${setting}(:${setting})*$ ]] ||
    usage_error "--settings = '${settings}', must be NAME=VALUE, or several separated by colons"
  local repeated
  repeated="$(tr ',' '\n' <<<"${optimizers}" | sort | uniq --repeated)"
  [[ -z "${repeated}" ]] || usage_error "--optimizer = '${optimizers}', must name each method once"
  check_number --workers "${workers}" 1 64
  check_number --aggregators "${aggregators}" 1 64
  check_number --rounds "${rounds}" 10 1000000
  # Relative paths are the caller's.
  [[ "${text}" == /* ]] || text="${CALLED_FROM}/${text}"
  [[ "${out}" == /* ]] || out="${CALLED_FROM}/${out}"
  [[ "${out}" != *,* ]] || usage_error "--out = '${out}', must have no comma"
  [[ -e "${text}" ]] || usage_error "--text = '${text}', must exist"
}

# What is done to a run every five seconds, one after the other, and how often something was.
faults=()
num_faults=0

# The processes that this script started and has not seen end: their names by process id, and the
# logs by name.
declare -A running=() logs=()

# start NAME LOG COMMAND...: in the background, with its errors in the log.
start() {
  local name="$1"
  logs["${name}"]="$2"
  "${@:3}" 2>>"$2" &
  running[$!]="${name}"
}

# Ends them: kindly, and what has not gone after five seconds for good. Runs on every way out.
stop_processes() {
  local pid deadline=$((SECONDS + 5))
  for pid in "${!running[@]}"; do kill -TERM "${pid}" 2>/dev/null || true; done
  for pid in "${!running[@]}"; do
    while kill -0 "${pid}" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
    kill -KILL "${pid}" 2>/dev/null || true
    wait "${pid}" 2>/dev/null || true
    unset "running[${pid}]"
  done
}

# Fails if a process has failed, or if an aggregator, which should outlive its workers, has ended;
# forgets workers that have ended well.
check_processes() {
  local pid status name
  for pid in "${!running[@]}"; do
    if kill -0 "${pid}" 2>/dev/null; then continue; fi
    status=0
    wait "${pid}" 2>/dev/null || status=$?
    name="${running[${pid}]}"
    unset "running[${pid}]"
    if ((status == 0)) && [[ "${name}" == w-* ]]; then continue; fi
    echo >&2
    echo "quickstart.sh: ${name} ended with status ${status}; the end of ${logs[${name}]}:" >&2
    tail -n 10 "${logs[${name}]}" >&2
    exit 1
  done
}

# pid_of NAME: its process id; nothing if it is not running.
pid_of() {
  local pid
  for pid in "${!running[@]}"; do
    if [[ "${running[${pid}]}" == "$1" ]]; then echo "${pid}"; fi
  done
}

# say WORDS...: what happens to a run, below the line of its progress.
say() { printf '\nchaos: %s\n' "$*"; }

# kill_at_once NAME: with SIGKILL. Fails if it has ended before.
kill_at_once() {
  local pid
  pid="$(pid_of "$1")"
  [[ -n "${pid}" ]] || return 1
  kill -KILL "${pid}"
  wait "${pid}" 2>/dev/null || true
  unset "running[${pid}]"
}

# wait_for_line LOG WORDS COUNT: until so many lines of the log have the words, or the run is over.
wait_for_line() {
  until (($(grep -c "$2" "$1" || true) >= $3)); do
    check_processes
    ((${#running[@]} > aggregators)) || return 1
    sleep 0.05
  done
}

# Kills the aggregator with SIGKILL, starts it again on its port and waits until it has read its run
# back from the workers; says how long that took.
restart_aggregator() {
  local name="agg-$1" log="${out}/aggregators/agg-$1.log" recoveries seconds
  recoveries="$(grep -c "read back" "${log}" || true)"
  kill_at_once "${name}" || return 0
  start "${name}" "${log}" "${aggregator_binary}" --name="${name}" \
    --listen="127.0.0.1:$(<"${out}/aggregators/${name}.port")" --port_file="${out}/aggregators/${name}.port"
  wait_for_line "${log}" "read back" $((recoveries + 1)) || return 0
  seconds="$(grep "read back" "${log}" | tail -n 1)"
  say "${name} was killed; started again, it had the run back from the workers in ${seconds##* }"
}

# Kills the worker with SIGKILL, starts it again and waits until it has the others' state.
restart_worker() {
  local name="w-$1" log="${run_directory}/w-$1.log" begin="${EPOCHREALTIME/./}" joins
  joins="$(grep -c "came in after" "${log}" || true)"
  kill_at_once "${name}" || return 0
  say "${name} was killed; it is started again, and the others go on"
  start_worker "$1"
  wait_for_line "${log}" "came in after" $((joins + 1)) || return 0
  say "${name} $(grep -o "came in after step [0-9]*" "${log}" | tail -n 1), with another worker's" \
    "state, $(((${EPOCHREALTIME/./} - begin) / 1000)) ms after it was killed"
}

# Lets the worker stand still for three seconds, in which the others wait for it.
pause_worker() {
  local pid
  pid="$(pid_of "w-$1")"
  [[ -n "${pid}" ]] || return 0
  say "w-$1 stands still for 3 s (SIGSTOP)"
  kill -STOP "${pid}"
  sleep 3
  kill -CONT "${pid}"
  say "w-$1 goes on"
}

# Does the next thing to the run; $1 counts them.
inject_fault() {
  local victim=$(($1 / ${#faults[@]}))
  case "${faults[$(($1 % ${#faults[@]}))]}" in
    kill_aggregator) restart_aggregator $((victim % aggregators)) ;;
    # Worker 0 shows progress and validates.
    kill_worker) restart_worker $((1 + victim % (workers - 1))) ;;
    pause_worker) pause_worker $((1 + (victim + 1) % (workers - 1))) ;;
  esac
}

# digest_of REPORT
digest_of() { grep -o '"parameters_digest": *"[0-9a-f]*"' "$1" | grep -o '[0-9a-f]\{16\}'; }

# number_in KEY REPORT
number_in() { grep -o "\"$1\": *[0-9.e+-]*" "$2" | grep -o '[0-9.e+-]*$'; }

# train_under_fire METHOD NAME FAULT...: one more run, to which these things are done in turn. Its
# reports go to ${out}/METHOD.NAME.
train_under_fire() {
  local method="$1" name="$2"
  faults=("${@:3}")
  num_faults=0
  mv "${out}/${method}" "${out}/${method}.calm"
  train "${method}"
  faults=()
  rm -rf "${out:?}/${method}.${name}"
  mv "${out}/${method}" "${out}/${method}.${name}"
  mv "${out}/${method}.calm" "${out}/${method}"
}

# Trains the method again while aggregators are killed, and compares all bits.
train_without_aggregators() {
  local calm disturbed
  echo
  echo "Again, while aggregators are killed:"
  train_under_fire "$1" chaos kill_aggregator
  calm="$(digest_of "${out}/$1/w-0.json")"
  disturbed="$(digest_of "${out}/$1.chaos/w-0.json")"
  echo
  echo "Parameters after ${rounds} rounds of $1:"
  echo "  undisturbed                    ${calm}"
  echo "  with ${num_faults} aggregators killed       ${disturbed}"
  [[ "${calm}" == "${disturbed}" ]] || fail "the runs ended with different parameters"
  echo "The same, bit for bit."
}

# Trains it once more while workers are killed and come again too, and compares losses.
train_without_workers() {
  local calm disturbed rank digests
  echo
  echo "Again, while workers are killed and come again, stand still, and aggregators are killed:"
  train_under_fire "$1" workers kill_worker pause_worker kill_aggregator
  calm="$(number_in final_validation_loss "${out}/$1/w-0.json")"
  disturbed="$(number_in final_validation_loss "${out}/$1.workers/w-0.json")"
  digests="$(for ((rank = 0; rank < workers; ++rank)); do digest_of "${out}/$1.workers/w-${rank}.json"; done | sort -u)"
  echo
  echo "After ${rounds} rounds of $1, in which something happened ${num_faults} times:"
  echo "  parameters of all workers      ${digests//$'\n'/ }"
  echo "  validation loss                ${disturbed}, undisturbed ${calm}"
  echo "  longest round of w-0           $(number_in longest_round_seconds "${out}/$1.workers/w-0.json") s"
  [[ "${digests}" != *$'\n'* ]] || fail "the workers ended with different parameters"
  awk -v a="${disturbed}" -v b="${calm}" 'BEGIN { exit !(a <= 1.03 * b) }' ||
    fail "the loss is more than 3 % above the undisturbed one"
  echo "The workers agree, and the loss is within 3 %."
}

install_and_build() {
  "${ROOT}/tools/install_packages.sh" build trainer
  bazel build --noshow_progress //aggregator/server:tally-aggregator \
    //examples:summarize_runs //examples:transformer_trainer
  local bin
  bin="$(bazel info --noshow_progress bazel-bin 2>/dev/null)"
  aggregator_binary="${bin}/aggregator/server/tally-aggregator"
  trainer_binary="${bin}/examples/transformer_trainer"
  summary_binary="${bin}/examples/summarize_runs"
}

# Starts the aggregators on free ports; sets `addresses` to name=host:port,...
start_aggregators() {
  local directory="${out}/aggregators" index name
  rm -rf "${directory}"
  mkdir -p "${directory}"
  for ((index = 0; index < aggregators; ++index)); do
    name="agg-${index}"
    start "${name}" "${directory}/${name}.log" "${aggregator_binary}" --name="${name}" \
      --listen=127.0.0.1:0 --port_file="${directory}/${name}.port"
  done
  addresses=""
  local deadline=$((SECONDS + 30))
  for ((index = 0; index < aggregators; ++index)); do
    name="agg-${index}"
    until [[ -e "${directory}/${name}.port" ]]; do
      check_processes
      ((SECONDS < deadline)) || fail "${name} does not listen after 30 s"
      sleep 0.05
    done
    addresses+="${addresses:+,}${name}=127.0.0.1:$(<"${directory}/${name}.port")"
  done
}

# flags_of SETTINGS: as flags of the trainer, one a line.
flags_of() {
  [[ -z "$1" ]] || tr ':' '\n' <<<"$1" | sed 's/^/--/'
}

# Where the logs and reports of the run go, and what its workers are told.
run_directory=""
run_flags=()

# start_worker RANK: of the run.
start_worker() {
  start "w-$1" "${run_directory}/w-$1.log" "${trainer_binary}" "${run_flags[@]}" \
    --worker="w-$1" --rank="$1" --report="${run_directory}/w-$1.json"
}

# train OPTIMIZER[:SETTINGS]: one run; its reports go to ${out}/OPTIMIZER[:SETTINGS]. The first
# worker shows progress.
train() {
  local optimizer="${1%%:*}" variant="" rank
  [[ "$1" != *:* ]] || variant="${1#*:}"
  run_directory="${out}/$1"
  mapfile -t run_flags < <(flags_of "${settings}" && flags_of "${variant}")
  # The number tells this start of the job from every other.
  run_flags+=(--job="quickstart-${optimizer}" --run="$(date +%s%N)" --workers="${workers}"
    --aggregators="${addresses}" --optimizer="${optimizer}" --variant="${variant}"
    --rounds="${rounds}" --text="${text}" --validate_every="$(((rounds + 7) / 8))")
  rm -rf "${run_directory}"
  mkdir -p "${run_directory}"
  for ((rank = 0; rank < workers; ++rank)); do start_worker "${rank}"; done
  local next_fault=$((SECONDS + 5))
  while ((${#running[@]} > aggregators)); do
    check_processes
    if ((${#faults[@]} > 0 && SECONDS >= next_fault)); then
      inject_fault "${num_faults}"
      num_faults=$((num_faults + 1))
      next_fault=$((SECONDS + 5))
    fi
    sleep 0.1
  done
}

main() {
  read_options "$@"
  check_options
  install_and_build
  mkdir -p "${out}"
  rm -f "${out}/summary.json" "${out}/loss_curves.txt" "${out}/loss_curves.png"
  trap stop_processes EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  start_aggregators
  local list=() optimizer rank reports
  for optimizer in ${optimizers//,/ }; do
    train "${optimizer}"
    reports=""
    for ((rank = 0; rank < workers; ++rank)); do
      reports+="${reports:+,}${out}/${optimizer}/w-${rank}.json"
    done
    list+=("${reports}")
  done
  if [[ -n "${chaos}" ]]; then
    train_without_aggregators "${optimizer}"
    ((workers < 3)) || train_without_workers "${optimizer}"
  fi
  stop_processes

  echo
  local verdict=0
  "${summary_binary}" --out="${out}" "${list[@]}" || verdict=$?
  if [[ -e "${out}/loss_curves.txt" ]]; then
    gnuplot -c "${ROOT}/examples/loss_curves.gnuplot" \
      "${out}/loss_curves.txt" "${out}/loss_curves.png"
    echo
    echo "Loss curves: ${out}/loss_curves.png"
    echo "Summary:     ${out}/summary.json"
  fi
  exit "${verdict}"
}

main "$@"
