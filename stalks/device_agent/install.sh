#!/bin/sh -eu
# The installer: it runs inside the system of the device, as root. Packages would come by apt-get, without questions:
# DEBIAN_FRONTEND=noninteractive.
home=/opt/$AGENT_NAME
mkdir -p "$home" /etc/systemd/system/multi-user.target.wants
cp /mnt/agent/agent "$home/agent"
chmod 0755 "$home/agent"
echo "$VERSION" >"$home/version"
sed "s|@HOME@|$home|" /mnt/agent/agent.service >"/etc/systemd/system/$AGENT_NAME.service"
ln -sf "../$AGENT_NAME.service" "/etc/systemd/system/multi-user.target.wants/$AGENT_NAME.service"
"$home/agent" --version
