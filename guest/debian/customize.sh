#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Last touches on the new root ($1); the lists in capitals come from recipe.json.
set -eu
root=$1
# usr-is-merged stands in for usrmerge, which brings all of perl.
# shellcheck disable=SC2086 # lists of packages and units
chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y purge --allow-remove-essential --auto-remove $PURGED_PACKAGES
# shellcheck disable=SC2086
chroot "$root" systemctl --quiet enable $ENABLED_UNITS
# shellcheck disable=SC2086
chroot "$root" systemctl --quiet mask $MASKED_UNITS
chroot "$root" systemctl --quiet set-default multi-user.target
ln -sf /run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
sed -i 's/^hosts:.*/hosts: files dns/' "$root/etc/nsswitch.conf"
# Root has no password, and needs none: only the console logs in, by itself. Empty, not absent: a machine makes its own
# id at its first start, without the questions of a first boot.
: > "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/etc/motd" "$root"/var/log/*.log "$root"/var/log/apt/*
rm -rf "$root"/var/cache/debconf/*-old "$root"/var/lib/systemd/random-seed
