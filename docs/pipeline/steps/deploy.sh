#!/usr/bin/env bash
# Deploys a revision to a deployment group, waits for the end, and says why if it is a bad one.
set -euo pipefail
: "${APPLICATION:?}" "${GROUP:?}" "${REVISION:?what bundle.sh says}"

id=$(aws deploy create-deployment --application-name "$APPLICATION" --deployment-group-name "$GROUP" \
  --s3-location "$REVISION" --query deploymentId --output text)
echo "$id of $REVISION to $GROUP"

# The waiter gives up after half an hour, which a fleet may need; the job has a timeout of its own.
until aws deploy wait deployment-successful --deployment-id "$id" 2>/dev/null; do
  status=$(aws deploy get-deployment --deployment-id "$id" --query deploymentInfo.status --output text)
  case $status in
    Failed | Stopped)
      echo "$id: $status" >&2
      targets=$(aws deploy list-deployment-targets --deployment-id "$id" --query 'targetIds[:25]' --output text)
      # shellcheck disable=SC2086 # one word for each target
      aws deploy batch-get-deployment-targets --deployment-id "$id" --target-ids $targets --output text \
        --query 'deploymentTargets[].instanceTarget[].lifecycleEvents[].diagnostics[].[scriptName, message, logTail]' >&2
      exit 1
      ;;
  esac
done
echo "$id: Succeeded"
