#!/usr/bin/env bash
# Runs the commands with which docs/pipeline/README.md sets up an account, against an empty one: moto, on this network's loopback.
# Arguments: the folder of moto's programs, the AWS CLI, a folder for what is made.
set -euo pipefail
page=$(realpath "$(dirname "$0")/../../docs/pipeline/README.md")
moto=$1 aws=$2 work=$3

export AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_ACCESS_KEY_ID=AKIALAB AWS_SECRET_ACCESS_KEY=lab AWS_DEFAULT_REGION=eu-west-1
# AWS's own policies are there in every account.
MOTO_IAM_LOAD_MANAGED_POLICIES=true "$moto/moto_server" -p 5000 >"$work/moto.log" 2>&1 &
trap 'kill %1' EXIT
deadline=$((SECONDS + 60))
until curl --silent --fail --output /dev/null "$AWS_ENDPOINT_URL/moto-api/data.json"; do
  [ "$SECONDS" -lt "$deadline" ] || { cat "$work/moto.log" >&2; exit 1; }
  sleep 0.2
done

echo "a binary" >"$work/handover"
aws() { "$aws" "$@" >/dev/null; }
export aws work
commands=$(sed -n '/^ *```sh$/,/^ *```$/ { /```/d; s/^   //; s,/path/to/handover,"$work/handover",g; p }' "$page")
cd "$(dirname "$page")"
eval "$commands"
