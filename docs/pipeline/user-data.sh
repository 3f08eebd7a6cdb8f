#!/usr/bin/env bash
# User data for the launch template of an Auto Scaling group: Docker and CodeDeploy's agent, on Amazon Linux 2023 or Ubuntu.
# Running it again changes nothing. If it fails there is no agent, and Auto Scaling replaces the instance.
set -euo pipefail

# `latestv2` is the agent 2.x, which needs no Ruby.
agent=latest

fetch() { curl --fail --silent --show-error --retry 5 --retry-connrefused --max-time 60 "$@"; }
metadata=http://169.254.169.254/latest
token=$(fetch --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/api/token")
region=$(fetch --header "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/placement/region")

ruby=ruby
[ "$agent" = latest ] || ruby=
if command -v dnf >/dev/null; then
  # shellcheck disable=SC2086 # no word at all where there is no need of Ruby
  dnf install -y docker $ruby
else
  export DEBIAN_FRONTEND=noninteractive
  # At its first boot Ubuntu updates itself, too.
  apt() { apt-get -o DPkg::Lock::Timeout=600 "$@"; }
  apt update
  # shellcheck disable=SC2086
  apt install -y docker.io ${ruby:+ruby-full}
fi
systemctl enable --now docker

# For [check.database] of the bundle: no system has RDS's authorities.
if [ ! -s /etc/ssl/rds.pem ]; then
  fetch --output /etc/ssl/rds.pem.new https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
  mv /etc/ssl/rds.pem.new /etc/ssl/rds.pem
fi

# Last: as soon as the agent runs, CodeDeploy deploys here.
if ! systemctl cat codedeploy-agent.service >/dev/null 2>&1; then
  installer=$(mktemp)
  fetch --output "$installer" "https://aws-codedeploy-$region.s3.$region.amazonaws.com/$agent/install"
  chmod 700 "$installer"
  "$installer" auto
  rm -f "$installer"
fi
systemctl enable --now codedeploy-agent
