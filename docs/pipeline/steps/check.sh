#!/usr/bin/env bash
# What a client of the load balancer gets is good.
set -euo pipefail
: "${URL:?}"

curl --fail --silent --show-error --location --max-time 10 --retry 5 --retry-all-errors --output /dev/null "$URL"
echo "$URL answers"
