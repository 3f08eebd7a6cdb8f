#!/usr/bin/env bash
# Makes the revision that every instance gets: pins the images, packs the bundle, uploads it once. `revision` in $GITHUB_OUTPUT
# names that very object, by its version.
set -euo pipefail
: "${BUNDLE:?the folder of the bundle}" "${BUCKET:?}" "${APPLICATION:?}" "${TAG:?}" "${HANDOVER:?the SHA-256 of the binary}"

mkdir -p "$BUNDLE/bin"
aws s3api get-object --bucket "$BUCKET" --key "handover/$HANDOVER" "$BUNDLE/bin/handover" >/dev/null
sha256sum --check --quiet <<<"$HANDOVER  $BUNDLE/bin/handover"
chmod 755 "$BUNDLE/bin/handover"

"$BUNDLE/bin/handover" pin "$BUNDLE"
"$BUNDLE/bin/handover" lint "$BUNDLE"

archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
tar --directory "$BUNDLE" --owner 0 --group 0 --create --gzip --file "$archive" .
key=$APPLICATION/$TAG.tar.gz
read -r etag version < <(aws s3api put-object --bucket "$BUCKET" --key "$key" --body "$archive" \
  --query '[ETag, VersionId]' --output text)
# Without versions, whoever can write there can change what a rollback or a new instance gets.
[ "${version:-None}" != None ] || { echo "bundle: switch on the versions of bucket $BUCKET" >&2; exit 1; }
revision="bucket=$BUCKET,key=$key,bundleType=tgz,version=$version,eTag=${etag//\"/}"
echo "$revision"
echo "revision=$revision" >>"$GITHUB_OUTPUT"
