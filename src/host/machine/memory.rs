//! Memory, by `proc_meminfo`(5).

/// The memory of a machine, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All that the kernel can use.
    pub total: u64,
    /// What is available without swapping.
    pub available: u64,
}

impl Memory {
    /// From `/proc/meminfo`.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { total: field("MemTotal")?, available: field("MemAvailable")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a t3.micro's.
    const MEMINFO: &str = "\
MemTotal:         980932 kB
MemFree:           77480 kB
MemAvailable:     567668 kB
Buffers:            2088 kB
Cached:           598756 kB
SwapCached:            0 kB
";

    #[test]
    fn meminfo_is_read_in_bytes() {
        let memory = Memory::parse(MEMINFO).unwrap();
        assert_eq!(memory, Memory { total: 980_932 << 10, available: 567_668 << 10 });
        assert_eq!(Memory::parse("MemTotal: 5 kB\n"), None);
    }
}
