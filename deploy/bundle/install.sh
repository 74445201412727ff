#!/bin/sh
# Install Cellkeeper from this folder; no network is used. As root with --system also its users, units and udev rule.
#
#   ./install.sh [--system] [FOLDER]     FOLDER is /opt/cellkeeper unless named
set -eu
umask 022 # services run as other users than the one who installs
here=$(cd "$(dirname "$0")" && pwd)
system=
if [ "${1:-}" = --system ]; then system=yes; shift; fi
place=${1:-/opt/cellkeeper}
refuse() { printf 'install: %s\n' "$*" >&2; exit 1; }

cd "$here"
bad=$(sha256sum -c SHA256SUMS 2>/dev/null | sed -n 's/: FAILED.*//p' | tr '\n' ' ')
sha256sum -c --status SHA256SUMS 2>/dev/null || refuse "${bad:-a file }is not what SHA256SUMS says; copy the bundle again"

wanted=$(cat python-version)
python=
for each in "${PYTHON:-}" "python$wanted" python3; do
    [ -n "$each" ] && [ "$("$each" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$wanted" ] && { python=$each; break; }
done
[ -n "$python" ] || refuse "Python $wanted is not here; install it, or name it as PYTHON=/path/to/python$wanted"
[ -z "$system" ] || [ "$(id -u)" = 0 ] || refuse "--system needs root"

# beside the old one and then in its place: an update that is cut off leaves what was there
new=$place.new
rm -rf "$new"
"$python" -m venv --without-pip "$new" || refuse "no virtual environment can be made in $new"
PYTHONPATH=$(echo "$here"/wheelhouse/pip-*.whl) "$new/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --no-index --find-links "$here/wheelhouse" -c "$here/wheelhouse/pins.txt" \
    cellkeeper cellkeeper-bus-gateway cellkeeper-historian cellkeeper-balancer cellkeeper-analytics \
    cellkeeper-twin || refuse "the wheels do not install, see above"
# programs of an environment begin with its path
find "$new/bin" -type f -exec grep -lI "$new" {} + | while read -r file; do sed -i "s|$new|$place|g" "$file"; done
sed -i "s|$new|$place|g" "$new/pyvenv.cfg"
mkdir -p "$new/share" && cp -r "$here/docs" "$here/deploy" "$here/dashboards" "$here/docker-compose.yml" "$here/sbom.cdx.json" "$new/share/"
rm -rf "$place.old"
if [ -e "$place" ]; then mv "$place" "$place.old"; fi
mv "$new" "$place"
printf 'installed in %s%s\n' "$place" "$([ -e "$place.old" ] && echo ", the one before is in $place.old")"

if [ -n "$system" ]; then
    install -m 644 -D "$here/deploy/systemd/cellkeeper.sysusers" /usr/lib/sysusers.d/cellkeeper.conf
    install -m 644 -t /etc/systemd/system "$here"/deploy/systemd/*.service "$here"/deploy/systemd/*.timer "$here"/deploy/systemd/*.target
    install -m 644 -t /etc/udev/rules.d "$here"/deploy/udev/*.rules
    [ "$place" = /opt/cellkeeper ] || sed -i "s|/opt/cellkeeper|$place|g" /etc/systemd/system/cellkeeper*
    systemd-sysusers
    systemctl daemon-reload
    # in a container nobody runs udev
    if udevadm control --ping --timeout=5 2>/dev/null; then udevadm control --reload && udevadm trigger; fi
    # where another user has the number already, sysusers takes a free one: the files of the site have to follow
    options=
    for each in "cellkeeper 10001 --uid" "cellkeeper-broker 1883 --broker-uid"; do
        # shellcheck disable=SC2086  # three words
        set -- $each
        [ "$(id -u "$1")" = "$2" ] || options="$options $3 $(id -u "$1")"
    done
    echo "next: $place/bin/cellkeeper init$options /etc/cellkeeper, then systemctl enable --now cellkeeper.target"
fi
