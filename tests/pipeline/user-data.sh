#!/usr/bin/env bash
# Runs docs/pipeline/user-data.sh twice on an instance of the lab, as Ubuntu and as Amazon Linux: with the metadata service as it
# is, and stand-ins that say what they would do. Docker comes before the agent, and nothing is installed a second time.
# Argument: the script. Run it on the instance.
set -euo pipefail
work=$(mktemp -d)
export work said=$work/said

stand_in() { printf '#!/bin/bash\necho "%s" >>"$said"\n%s\n' "$2" "$3" >"$work/$1/$4" && chmod +x "$work/$1/$4"; }
with() {
  mkdir "$work/$1"
  stand_in "$1" "$2 \$*" '' "$2"
  stand_in "$1" 'systemctl $*' '[ "$1" != cat ] || [ -e "$work/agent" ]' systemctl
  # Of the metadata what is there; else an installer, or whatever else a file is asked for.
  # shellcheck disable=SC2016
  stand_in "$1" 'curl ${*: -1}' 'case "$*" in *169.254.*) exec /usr/bin/curl "$@";; esac
while [ "$1" != --output ]; do shift; done
printf "#!/bin/sh\\necho installer \$1 >>%s; touch %s/agent\\n" "$said" "$work" >"$2"' curl
  # Without another system's dnf.
  for program in mv mktemp chmod rm touch bash sh env; do ln -s "$(command -v $program)" "$work/$1/"; done
  rm -f "$work/agent" /etc/ssl/rds.pem
  for run in first second; do
    : >"$said"
    PATH=$work/$1 /bin/bash "$user_data"
    grep -v -e 169.254 -e 'systemctl cat' "$said" >"$work/$run"
  done
  diff -u - "$work/first"
  # All that names an installation or a download is gone.
  ! grep -E '^(curl|installer)' "$work/second" || exit 1
}

user_data=$1
with ubuntu apt-get <<END
apt-get -o DPkg::Lock::Timeout=600 update
apt-get -o DPkg::Lock::Timeout=600 install -y docker.io ruby-full
systemctl enable --now docker
curl https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
curl https://aws-codedeploy-eu-west-1.s3.eu-west-1.amazonaws.com/latest/install
installer auto
systemctl enable --now codedeploy-agent
END
with amazon dnf <<END
dnf install -y docker ruby
systemctl enable --now docker
curl https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
curl https://aws-codedeploy-eu-west-1.s3.eu-west-1.amazonaws.com/latest/install
installer auto
systemctl enable --now codedeploy-agent
END
rm -rf "$work"
