#!/usr/bin/env bash
# Installs what Tailwater needs from Debian's own packages: only what is missing, without questions, starting no service.
#   deploy/install-deps.sh            to build, to run, and for the quickstart's private Postgres
#   deploy/install-deps.sh --tests    also what the tests need
#   deploy/install-deps.sh --print    says what is missing and ends
set -euo pipefail

build=(g++ cmake ninja-build ccache pkg-config ca-certificates
       libpq-dev libmariadb-dev libsqlite3-dev libspdlog-dev libyaml-cpp-dev prometheus-cpp-dev libcpp-httplib-dev libcli11-dev
       protobuf-compiler libprotobuf-dev libxxhash-dev liblz4-dev libcurl4-openssl-dev libssl-dev
       nlohmann-json3-dev rapidjson-dev libre2-dev librdkafka-dev zlib1g-dev libzstd-dev)
tour=(postgresql-15 postgresql-client-15 sqlite3 curl procps python3 openssl)
tests=(libgtest-dev libgmock-dev python3-pytest python3-pytest-xdist python3-psycopg2 python3-pymysql python3-cryptography python3-yaml python3-pip faketime mariadb-server-core mariadb-client-core debootstrap prometheus unzip xz-utils kcat)

want=("${build[@]}" "${tour[@]}")
only_print=false
for argument in "$@"; do
  case $argument in
    --tests)
      want+=("${tests[@]}")
      command -v mvn >/dev/null || want+=(maven)   # fetches Kafka, OpenSearch and the other Postgres versions
      command -v javac >/dev/null || want+=(openjdk-17-jdk-headless)   # runs them
      command -v npm >/dev/null || want+=(nodejs npm)   # runs receivers that verify with the published libraries
      ;;
    --print) only_print=true ;;
    -h|--help) sed -n '2,5s/^# //p' "$0"; exit 0 ;;
    *) echo "install-deps.sh: unknown option '$argument' (there are --tests and --print)" >&2; exit 2 ;;
  esac
done

if ! command -v apt-get >/dev/null; then
  echo "install-deps.sh: needs apt-get (Debian 12 or newer); elsewhere install by hand: ${want[*]}" >&2
  exit 1
fi

missing=()
for package in "${want[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "dependencies: all ${#want[@]} packages are there"
  exit 0
fi
echo "dependencies: missing ${#missing[@]} of ${#want[@]} packages: ${missing[*]}"
if $only_print; then exit 0; fi

as_root=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install-deps.sh: run it as root, or install sudo" >&2; exit 1; }
  as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
fi
if ! "${as_root[@]}" apt-get -qq update; then
  echo "install-deps.sh: 'apt-get update' failed: look at /etc/apt/sources.list and at the network" >&2
  exit 1
fi
plan=$("${as_root[@]}" apt-get install --no-install-recommends --assume-no "${missing[@]}" 2>&1) ||
  : # --assume-no always ends with an error
sed -nE 's/^([0-9]+ upgraded, .*|Need to get .*|After this operation, .*|E: .*)$/dependencies: \1/p' <<<"$plan"

# While the packages come in, none of them may start a service or create a database cluster of its own.
undo=()
cleanup() { for path in "${undo[@]}"; do "${as_root[@]}" rm -f "$path"; done; }
trap cleanup EXIT
if [ ! -e /usr/sbin/policy-rc.d ]; then
  undo+=(/usr/sbin/policy-rc.d)
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
  "${as_root[@]}" chmod 755 /usr/sbin/policy-rc.d
fi
no_cluster=/etc/postgresql-common/createcluster.d/tailwater.conf
if [ ! -e "$no_cluster" ]; then
  undo+=("$no_cluster")
  "${as_root[@]}" mkdir -p "$(dirname "$no_cluster")"
  echo 'create_main_cluster = false' | "${as_root[@]}" tee "$no_cluster" >/dev/null
fi

log=$(mktemp)
if ! "${as_root[@]}" apt-get -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "install-deps.sh: apt-get could not install the packages; its whole output is in $log" >&2
  exit 1
fi
rm -f "$log"
echo "dependencies: installed"
