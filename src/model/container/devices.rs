//! Devices of the host: files of `/dev`, and GPUs.

use serde::Serialize;

/// A device of the host, as `docker run --device` takes it: `/dev/snd`, `/dev/sda:/dev/xvda`, `/dev/sda:/dev/xvda:r`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its path on the host. A folder stands for all devices in it.
    pub host: String,
    /// Its path in the container.
    pub container: String,
    /// What the container may do: read, write and make it (mknod), of `rwm`.
    pub access: String,
}

impl TryFrom<String> for Device {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, access) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, access] if is_access(access) => (host, host, access),
            [host, container] => (host, container, "rwm"),
            [host, container, access] if is_access(access) => (host, container, access),
            _ => ("", "", ""),
        };
        if !is_path(host) || !is_path(container) {
            return Err(format!(
                "'{text}' is not a device: write \"/dev/NAME\" or \"/dev/NAME:/dev/NAME\", with :r, :rw or :rwm for what the container may do"
            ));
        }
        Ok(Self { host: host.to_owned(), container: container.to_owned(), access: access.to_owned() })
    }
}

fn is_access(text: &str) -> bool {
    let once = |letter| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c)) && ['r', 'w', 'm'].into_iter().all(once)
}

fn is_path(text: &str) -> bool {
    text.len() > 1 && text.starts_with('/') && text.split('/').all(|part| part != ".." && part != ".")
}

/// GPUs of the host, as `docker run --gpus` takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gpus {
    /// All that are there.
    All,
    /// So many, whichever.
    Count(i64),
    /// These, by their numbers or UUIDs.
    Device(Vec<String>),
}

impl TryFrom<String> for Gpus {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        // A shell needs the quotes around a list of devices, because docker's flag is itself a list.
        let plain = text.trim_matches('"');
        let is_id = |id: &str| {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-:./".contains(&b))
        };
        let devices = plain.strip_prefix("device=").map(|ids| ids.split(',').collect::<Vec<_>>());
        match (plain, plain.parse::<u16>(), devices) {
            ("all", ..) => Ok(Self::All),
            (_, Ok(count @ 1..), _) => Ok(Self::Count(count.into())),
            (_, _, Some(ids)) if ids.iter().all(|id| is_id(id)) => {
                Ok(Self::Device(ids.into_iter().map(str::to_owned).collect()))
            }
            _ => Err(format!("'{text}' does not say which GPUs: write \"all\", a number, or \"device=0,1\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_as_docker_takes_them() {
        for (text, parts) in [
            ("/dev/fuse", ["/dev/fuse", "/dev/fuse", "rwm"]),
            ("/dev/fuse:r", ["/dev/fuse", "/dev/fuse", "r"]),
            ("/dev/sda:/dev/xvda", ["/dev/sda", "/dev/xvda", "rwm"]),
            ("/dev/sda:/dev/xvda:mr", ["/dev/sda", "/dev/xvda", "mr"]),
        ] {
            let device = Device::try_from(text.to_owned()).unwrap();
            assert_eq!([device.host, device.container, device.access], parts);
        }
        for text in ["", "fuse", "/dev/fuse:x", "/dev/fuse:/dev/fuse:rr", "/dev/../etc", "/a:/b:r:w", "/"] {
            assert!(Device::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn gpus_as_docker_takes_them() {
        let devices = |ids: &[&str]| Gpus::Device(ids.iter().map(|id| (*id).to_owned()).collect());
        for (text, gpus) in [
            ("all", Gpus::All),
            ("2", Gpus::Count(2)),
            ("device=0", devices(&["0"])),
            ("\"device=0,GPU-3a23c669\"", devices(&["0", "GPU-3a23c669"])),
        ] {
            assert_eq!(Gpus::try_from(text.to_owned()), Ok(gpus));
        }
        for text in ["", "0", "-1", "none", "device=", "device=0,", "capabilities=utility"] {
            assert!(Gpus::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
