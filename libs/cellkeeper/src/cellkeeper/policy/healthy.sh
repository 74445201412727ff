#!/bin/sh
# Is the broker well? Exit code 0 when who may read can, and who may not cannot: a broker with a broken policy listens
# and serves nobody, one without a policy serves everybody. Needs mosquitto_sub, which the broker's own image has.
set -u
cd "$(dirname "$0")/probe"
papers="--cafile ca.crt --cert client.crt --key client.key"
site='cellkeeper/v1/@SITE@'

sick() { echo "broker: $*" >&2; exit 1; }
# -E ends after the answer to the subscription, with exit code 0 also when that is no: only the words tell
asks() { told=$(mosquitto_sub -h '@HOST@' -V 5 -E -W 5 "$@" 2>&1) && case $told in *denied*) return 1 ;; esac; }

# shellcheck disable=SC2086  # words of their own
asks -p @CERTIFICATE_PORT@ $papers -t "$site/service/+" || sick "the probe may not read presences: not running, or no policy"
# shellcheck disable=SC2086
if asks -p @CERTIFICATE_PORT@ $papers -t "$site/command/#"; then sick "the probe may read commands: this is not our policy"; fi
if asks -p @PASSWORD_PORT@ --cafile ca.crt -t "$site/#"; then sick "anybody may read: this is not our configuration"; fi
