#!/usr/bin/env bash
# Builds the image, pushes it, and writes its tag into the bundle.
set -euo pipefail
: "${REPOSITORY:?the ECR repository, with its host}" "${TAG:?}" "${BUNDLE:?the folder of the bundle}"

aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"
docker build --tag "$REPOSITORY:$TAG" "${CONTEXT:-.}"
docker push "$REPOSITORY:$TAG"
printf '%s\n' "$TAG" >"$BUNDLE/image-tag.txt"
