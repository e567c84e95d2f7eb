#!/usr/bin/env bash
# A chat client of Mosquitto's command line: a line `u/bob hello` is sent to Bob, everything that happens is printed as JSON.
set -uo pipefail
url=$1 version=$2 user=$3 token=$4 device=$5 ca=${6:-}
address=${url#*://}

# docs: connect
options=(-h "${address%:*}" -p "${address#*:}" -u "$user" -P "$token" -k 240)
if [[ $version = 5 ]]; then options+=(-V 5); else options+=(-V 311); fi
if [[ -n $ca ]]; then options+=(--cafile "$ca"); fi
# docs: end

# docs: receive
# -c keeps the session: what this device misses comes when it is back. It reconnects by itself, but not after an error of TLS.
inbox () {
  trap 'kill "$sub"; exit' TERM
  while :; do
    stdbuf -oL mosquitto_sub "${options[@]}" -i "$device" -c -q 1 -t 'me/#' -F '{"topic":"%t","payload":%p}' -d &
    sub=$!
    wait "$sub"
    sleep 1
  done
}
# docs: end

# docs: send
# The exit code is the PUBACK. The cid in the topic is stored once, so trying again is safe. Without a time limit
# Mosquitto 2.0 goes round and round for ever when a TLS handshake is torn.
say () {
  local cid
  cid=$(cat /proc/sys/kernel/random/uuid)
  until timeout 5 mosquitto_pub "${options[@]}" -i "$device-pub" -q 1 -t "$1/msg/$cid" -m "$2"; do sleep 1; done
  echo '{"event":"sent"}'
  ask "$1/msg/$cid" "$2" me/ack # for who wants the seq: the same cid gets the same answer
}
# docs: end

# docs: ask
# Publishes a request and prints the answer. Answers come to the device that asks, so it has a device id of its own.
ask () {
  local answer
  until answer=$(timeout 5 mosquitto_rr "${options[@]}" -i "$device-rr" -q 1 -t "$1" -m "$2" -e "$3"); do sleep 1; done
  printf '{"event":"received","topic":"%s","payload":%s}\n' "$3" "$answer"
}
# docs: end

# Debug lines tell of the connection; the newest seq of each conversation tells what comes twice.
exec {events}> >(jq -nRc --unbuffered '
  foreach inputs as $line ({newest: {}};
    ($line | try fromjson catch null) as $got
    | if $got == null then .event = if ($line | test("received CONNACK \\(0\\)")) then "connected" elif ($line | test("received SUBACK")) then "subscribed" else null end
      elif $got.topic == "me/msg" and $got.payload.seq <= (.newest[$got.payload.conv] // 0) then .event = "again"
      else .event = "received" | if $got.topic == "me/msg" then .newest[$got.payload.conv] = $got.payload.seq else . end end
    | .got = $got;
    select(.event) | if .event == "received" then {event} + .got else {event} end)')
inbox >&"$events" &
inbox=$!
exec {events}>&-

while read -r target text; do
  case $target in
    rpc/*) ask "$target" "$text" me/rpc ;;
    *) say "$target" "$text" ;;
  esac
done
kill "$inbox"
wait "$inbox"
exit 0
