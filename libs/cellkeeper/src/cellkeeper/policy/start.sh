#!/bin/sh
# Start the site's broker with exactly the policy and configuration that `cellkeeper init` rendered, or not at all:
# Mosquitto itself would start with a broken policy and serve nobody, and with a missing one make users of its own.
#
#   MOSQUITTO                    the program; else the one that is installed
#   MOSQUITTO_DYNAMIC_SECURITY   the plugin's file; else where packages and images put it
#   CELLKEEPER_BROKER_RUN        a folder for the completed configuration; else systemd's RUNTIME_DIRECTORY, else a new one
set -eu
cd "$(dirname "$0")"

refuse() { printf 'broker: not started: %s\n' "$*" >&2; exit 1; }

for file in policy.json mosquitto.conf; do
    grep -q "^[0-9a-f]\{64\}  $file\$" sealed.sha256 2>/dev/null ||
        refuse "sealed.sha256 does not seal $file; run \`cellkeeper init\` on the site folder"
done
changed=$(sha256sum -c sealed.sha256 2>/dev/null | sed -n 's/: FAILED.*//p' | tr '\n' ' ')
sha256sum -c sealed.sha256 >/dev/null 2>&1 ||
    refuse "${changed:-a file }is not what sealed.sha256 seals (damaged or edited by hand); run \`cellkeeper init\` on the site folder to render it again"

program=${MOSQUITTO:-}
for found in "$(command -v mosquitto || true)" /usr/sbin/mosquitto /usr/local/sbin/mosquitto /opt/homebrew/sbin/mosquitto; do
    [ -z "$program" ] && [ -n "$found" ] && [ -x "$found" ] && program=$found
done
[ -n "$program" ] || refuse "Mosquitto is not installed; for example: apt-get install mosquitto"

plugin=${MOSQUITTO_DYNAMIC_SECURITY:-}
for found in /usr/lib/*/mosquitto/mosquitto_dynamic_security.so /usr/lib/mosquitto/mosquitto_dynamic_security.so \
    /usr/lib/*/mosquitto_dynamic_security.so /usr/lib/mosquitto_dynamic_security.so \
    /usr/lib64/mosquitto_dynamic_security.so /usr/local/lib/mosquitto_dynamic_security.so \
    /opt/homebrew/lib/mosquitto_dynamic_security.so; do
    [ -z "$plugin" ] && [ -f "$found" ] && plugin=$found
done
[ -n "$plugin" ] || refuse "the plugin mosquitto_dynamic_security.so is not there; name it in MOSQUITTO_DYNAMIC_SECURITY"

version=$("$program" -h 2>/dev/null | sed -n 's/^mosquitto version \([0-9]*\.[0-9]*\).*/\1/p' || true)
case $version in
    2.0) newer='^$' ;;
    2.*) newer='^#2\.1# ' ;;
    *) refuse "$program is version ${version:-unknown}; 2.0.11 or newer is needed, best 2.1" ;;
esac

run=${CELLKEEPER_BROKER_RUN:-${RUNTIME_DIRECTORY:-$(mktemp -d)}}
{
    # root drops to a user of its own, who may not read these files; who starts this decides whom it runs as
    if [ "$(id -u)" = 0 ]; then echo "user root"; fi
    sed -e "s|@PLUGIN@|$plugin|" -e "s|$newer||" mosquitto.conf
} >"$run/mosquitto.conf"
exec "$program" -c "$run/mosquitto.conf"
