//! The end of a container's output, in bounded memory: it may have any number of lines of any length.

/// The last bytes of a stream.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    longest: usize,
    was_cut: bool,
}

impl Output {
    /// Keeps at most `longest` bytes.
    pub(super) fn of_at_most(longest: usize) -> Self {
        Self { bytes: Vec::new(), longest, was_cut: false }
    }

    /// Adds more of it.
    pub(super) fn take(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        let too_many = self.bytes.len().saturating_sub(self.longest);
        self.was_cut |= too_many > 0;
        self.bytes.drain(..too_many);
    }

    /// Its lines, without empty ones. A line whose beginning was cut off is left out: half a secret could not be masked in
    /// it. What is not UTF-8 is replaced.
    pub(super) fn lines(&self) -> Vec<String> {
        let whole = match self.bytes.iter().position(|byte| *byte == b'\n') {
            _ if !self.was_cut => &self.bytes[..],
            Some(newline) => &self.bytes[newline + 1..],
            None => &[],
        };
        let text = String::from_utf8_lossy(whole);
        let mut lines: Vec<String> =
            text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        if self.was_cut && lines.is_empty() {
            lines.push(format!("(one line of more than {} KiB)", self.longest >> 10));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(longest: usize, chunks: &[&[u8]]) -> Vec<String> {
        let mut output = Output::of_at_most(longest);
        for chunk in chunks {
            output.take(chunk);
        }
        output.lines()
    }

    #[test]
    fn lines_of_several_chunks_are_put_together() {
        assert_eq!(lines(100, &[b"one\ntw", b"o\n\nthree"]), ["one", "two", "three"]);
        assert_eq!(lines(100, &[b"gr\xfcn\n"]), ["gr\u{fffd}n"]);
        assert!(lines(100, &[]).is_empty());
    }

    #[test]
    fn a_line_whose_beginning_is_lost_is_left_out() {
        assert_eq!(lines(16, &[b"password=hunter2\n", b"last\n"]), ["last"]);
        assert_eq!(lines(1024, &[&[b'x'; 5000]]), ["(one line of more than 1 KiB)"]);
    }
}
