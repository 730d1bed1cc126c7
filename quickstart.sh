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
                           SIGKILL, one every 5 s, and started again with empty memories; ends with
                           both runs' parameters, which are the same
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

# Set while aggregators are being killed, and how many were.
under_fire=""
killed=0

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

# Kills the aggregator with SIGKILL, starts it again on its port and waits until it has read its run
# back from the workers; says how long that took.
restart_aggregator() {
  local name="agg-$1" pid log="${out}/aggregators/agg-$1.log" recoveries seconds
  recoveries="$(grep -c "read back" "${log}" || true)"
  for pid in "${!running[@]}"; do
    [[ "${running[${pid}]}" == "${name}" ]] || continue
    kill -KILL "${pid}"
    wait "${pid}" 2>/dev/null || true
    unset "running[${pid}]"
  done
  start "${name}" "${log}" "${aggregator_binary}" --name="${name}" \
    --listen="127.0.0.1:$(<"${out}/aggregators/${name}.port")" --port_file="${out}/aggregators/${name}.port"
  until (($(grep -c "read back" "${log}" || true) > recoveries)); do
    check_processes
    ((${#running[@]} > aggregators)) || return 0
    sleep 0.05
  done
  seconds="$(grep "read back" "${log}" | tail -n 1)"
  printf '\nchaos: %s was killed; started again, it had the run back from the workers in %s\n' \
    "${name}" "${seconds##* }"
  killed=$((killed + 1))
}

# digest_of REPORT
digest_of() { grep -o '"parameters_digest": *"[0-9a-f]*"' "$1" | grep -o '[0-9a-f]\{16\}'; }

# Trains the method again under fire, and compares.
train_in_chaos() {
  local calm disturbed
  calm="$(digest_of "${out}/$1/w-0.json")"
  mv "${out}/$1" "${out}/$1.calm"
  killed=0
  under_fire=yes
  train "$1"
  under_fire=""
  disturbed="$(digest_of "${out}/$1/w-0.json")"
  rm -rf "${out}/$1.chaos"
  mv "${out}/$1" "${out}/$1.chaos"
  mv "${out}/$1.calm" "${out}/$1"
  echo
  echo "Parameters after ${rounds} rounds of $1:"
  echo "  undisturbed                    ${calm}"
  echo "  with ${killed} aggregators killed       ${disturbed}"
  [[ "${calm}" == "${disturbed}" ]] || fail "the runs ended with different parameters"
  echo "The same, bit for bit."
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

# train OPTIMIZER[:SETTINGS]: one run; its reports go to ${out}/OPTIMIZER[:SETTINGS]. The first
# worker shows progress.
train() {
  local optimizer="${1%%:*}" variant="" directory="${out}/$1" rank name run flags
  [[ "$1" != *:* ]] || variant="${1#*:}"
  mapfile -t flags < <(flags_of "${settings}" && flags_of "${variant}")
  rm -rf "${directory}"
  mkdir -p "${directory}"
  # Tells this start of the job from every other.
  run="$(date +%s%N)"
  for ((rank = 0; rank < workers; ++rank)); do
    name="w-${rank}"
    start "${name}" "${directory}/${name}.log" "${trainer_binary}" "${flags[@]}" \
      --job="quickstart-${optimizer}" \
      --run="${run}" --worker="${name}" --rank="${rank}" --workers="${workers}" \
      --aggregators="${addresses}" --optimizer="${optimizer}" --variant="${variant}" \
      --rounds="${rounds}" --text="${text}" \
      --validate_every="$(((rounds + 7) / 8))" --report="${directory}/${name}.json"
  done
  local next_kill=$((SECONDS + 5))
  while ((${#running[@]} > aggregators)); do
    check_processes
    if [[ -n "${under_fire}" ]] && ((SECONDS >= next_kill)); then
      restart_aggregator $((killed % aggregators))
      next_kill=$((SECONDS + 5))
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
  [[ -z "${chaos}" ]] || train_in_chaos "${optimizer}"
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
