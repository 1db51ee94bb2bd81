//! gRPC messages, found in DATA frames and counted.

use crate::frames::HEADER;

/// Finds where messages begin and end, however DATA frames cut them.
#[derive(Debug, Default)]
pub(crate) struct MessageCounter {
    header: [u8; HEADER],
    /// How much of the header has arrived.
    header_len: usize,
    /// How much of the message behind the header is still to come.
    missing: usize,
}

impl MessageCounter {
    /// How many messages `data` makes whole.
    pub(crate) fn push(&mut self, data: &[u8]) -> usize {
        let mut whole = 0;
        self.parts(data, |_, ends| whole += usize::from(ends));
        whole
    }

    /// Hands over what `data` holds of each message, and whether the message ends with that.
    pub(crate) fn parts(&mut self, mut data: &[u8], mut part: impl FnMut(&[u8], bool)) {
        while !data.is_empty() {
            if self.header_len < HEADER {
                let taken = data.len().min(HEADER - self.header_len);
                let (start, rest) = data.split_at(taken);
                self.header[self.header_len..][..taken].copy_from_slice(start);
                self.header_len += taken;
                data = rest;
                if self.header_len < HEADER {
                    break;
                }
                let [_, length @ ..] = self.header;
                self.missing = u32::from_be_bytes(length) as usize;
                if self.missing > 0 {
                    continue;
                }
            }
            let (body, rest) = data.split_at(data.len().min(self.missing));
            data = rest;
            self.missing -= body.len();
            let ends = self.missing == 0;
            if ends {
                self.header_len = 0;
            }
            part(body, ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(lengths: &[u8]) -> Vec<u8> {
        let message = |&length: &u8| [vec![0, 0, 0, 0, length], vec![7; length.into()]].concat();
        lengths.iter().flat_map(message).collect()
    }

    #[test]
    fn a_message_counts_once_however_it_is_cut() {
        let bytes = wire(&[3, 0, 200, 0, 1]);
        for size in 1..=bytes.len() {
            let mut counter = MessageCounter::default();
            let whole: usize = bytes.chunks(size).map(|data| counter.push(data)).sum();
            assert_eq!(whole, 5, "in pieces of {size}");
        }
    }

    #[test]
    fn a_message_counts_only_when_its_last_byte_is_there() {
        let bytes = wire(&[2]);
        let (last, start) = bytes.split_last().unwrap();
        let mut counter = MessageCounter::default();
        assert_eq!(counter.push(start), 0);
        assert_eq!(counter.push(&[]), 0);
        assert_eq!(counter.push(&[*last]), 1);
    }
}
