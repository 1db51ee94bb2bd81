//! Strict reading of DER's frame.
//!
//! x509-parser reads what is inside, but ignores bytes that follow the last
//! element of a sequence and lengths that are longer than they need to be. What
//! we sign is copied from the request byte for byte, so nothing may hide in it.

use thiserror::Error;
use yasna::{PCBit, models::TaggedDerValue, tags::TAG_SEQUENCE};

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// `[number]`, constructed.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Why bytes are no DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DerError {
    /// The input ends inside an element.
    #[error("the DER ends early")]
    Truncated,
    /// A length that is indefinite or not in its shortest form.
    #[error("a DER length is not in its shortest form")]
    Length,
    /// Something else was expected.
    #[error("unexpected DER tag {found:#04x}, expected {expected:#04x}")]
    Tag {
        /// The tag that belongs there.
        expected: u8,
        /// The tag that is there.
        found: u8,
    },
    /// An element of another kind than certificates are made of.
    #[error("unknown DER tag {0:#04x}")]
    UnknownTag(u8),
    /// A bit string of a number of bits that is not a multiple of eight.
    #[error("a DER bit string does not hold whole bytes")]
    Bits,
    /// Bytes after the end.
    #[error("trailing data: {0} bytes follow the end of the DER")]
    Trailing(usize),
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    /// With tag and length.
    pub(crate) raw: &'a [u8],
    pub(crate) content: &'a [u8],
}

/// Takes elements off the front of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The elements of the sequence that `bytes` are, all of them.
    pub(crate) fn sequence(bytes: &'a [u8]) -> Result<Self, DerError> {
        let mut outer = Self::new(bytes);
        let sequence = outer.expect(SEQUENCE)?;
        outer.end()?;
        Ok(Self::new(sequence.content))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whatever is next.
    pub(crate) fn element(&mut self) -> Result<Element<'a>, DerError> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(DerError::Truncated)?;
        // A tag number of 31 says that more bytes of it follow; X.509 has none.
        if tag & 0x1f == 0x1f {
            return Err(DerError::UnknownTag(tag));
        }
        let (&first, after_length) = after_tag.split_first().ok_or(DerError::Truncated)?;
        let (length, content) = match first {
            0..=0x7f => (usize::from(first), after_length),
            // Four bytes of length are 4 GiB; a request has a few hundred bytes.
            0x81..=0x84 => {
                let (length, content) = after_length
                    .split_at_checked(usize::from(first & 0x7f))
                    .ok_or(DerError::Truncated)?;
                if length[0] == 0 || (length.len() == 1 && length[0] < 0x80) {
                    return Err(DerError::Length);
                }
                let length = length
                    .iter()
                    .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
                (length, content)
            }
            _ => return Err(DerError::Length),
        };
        let (content, rest) = content
            .split_at_checked(length)
            .ok_or(DerError::Truncated)?;
        let raw = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Ok(Element { tag, raw, content })
    }

    /// The next element, which has `tag`.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, DerError> {
        let element = self.element()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(DerError::Tag {
                expected: tag,
                found: element.tag,
            })
        }
    }

    /// The bytes of a bit string.
    pub(crate) fn bits(&mut self) -> Result<&'a [u8], DerError> {
        match self.expect(BIT_STRING)?.content.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(DerError::Bits),
        }
    }

    /// Nothing follows.
    pub(crate) fn end(&self) -> Result<(), DerError> {
        match self.rest.len() {
            0 => Ok(()),
            rest => Err(DerError::Trailing(rest)),
        }
    }
}

/// A sequence whose content is DER already, for writing.
pub(crate) fn sequence(content: &[u8]) -> TaggedDerValue {
    TaggedDerValue::from_tag_pc_and_bytes(TAG_SEQUENCE, PCBit::Constructed, content.to_vec())
}

/// A distinguished name is a sequence of sets of attributes and nothing else.
pub(crate) fn check_name(name: &[u8]) -> Result<(), DerError> {
    let mut sets = Reader::sequence(name)?;
    while !sets.is_empty() {
        let mut attributes = Reader::new(sets.expect(SET)?.content);
        // An empty set is none: at least one attribute has to be there.
        loop {
            let mut attribute = Reader::new(attributes.expect(SEQUENCE)?.content);
            attribute.expect(OBJECT_IDENTIFIER)?;
            attribute.element()?;
            attribute.end()?;
            if attributes.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_framed_strictly() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 0x80]].concat();
        for (bytes, expected) in [
            (&[0x04, 0x02, 1, 2][..], Ok(2)),
            (&[0x05, 0x00], Ok(0)),
            (&long, Ok(0x80)),
            (&[], Err(DerError::Truncated)),
            (&[0x04], Err(DerError::Truncated)),
            (&[0x04, 0x02, 1], Err(DerError::Truncated)),
            (&[0x04, 0x82, 1], Err(DerError::Truncated)),
            (&[0x04, 0x80, 0, 0], Err(DerError::Length)),
            (&[0x04, 0x81, 0x02, 1, 2], Err(DerError::Length)),
            (&[0x04, 0x82, 0x00, 0x02, 1, 2], Err(DerError::Length)),
            (&[0x04, 0x85, 1, 0, 0, 0, 0], Err(DerError::Length)),
            (
                &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
                Err(DerError::Truncated),
            ),
            (&[0x1f, 0x01, 1], Err(DerError::UnknownTag(0x1f))),
        ] {
            let read = Reader::new(bytes).element().map(|found| {
                assert_eq!(found.raw, bytes);
                found.content.len()
            });
            assert_eq!(read, expected, "{bytes:x?}");
        }
    }

    #[test]
    fn nothing_follows_a_sequence() {
        assert!(Reader::sequence(&[0x30, 0x00]).is_ok());
        assert_eq!(
            Reader::sequence(&[0x30, 0x00, 0x00]).err(),
            Some(DerError::Trailing(1))
        );
    }

    #[test]
    fn a_bit_string_holds_whole_bytes() {
        let bits = |bytes: &'static [u8]| Reader::new(bytes).bits();
        assert_eq!(bits(&[0x03, 0x02, 0x00, 0xff]), Ok(&[0xff][..]));
        assert_eq!(bits(&[0x03, 0x02, 0x01, 0xfe]), Err(DerError::Bits));
        assert_eq!(bits(&[0x03, 0x00]), Err(DerError::Bits));
    }

    #[test]
    fn nothing_hides_in_a_name() {
        let attribute = [0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, b'a'];
        let wrap = |tag: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).expect("short");
            [&[tag, length], content].concat()
        };
        let name = |sets: &[u8]| check_name(&wrap(SEQUENCE, sets));
        assert_eq!(name(&[]), Ok(()));
        assert_eq!(name(&wrap(SET, &attribute)), Ok(()));
        assert_eq!(name(&wrap(SET, &[attribute, attribute].concat())), Ok(()));
        assert!(name(&wrap(SET, &[])).is_err());
        assert!(name(&attribute).is_err());
        let hidden = wrap(SEQUENCE, &[&attribute[2..], &[0x05, 0x00]].concat());
        assert_eq!(name(&wrap(SET, &hidden)), Err(DerError::Trailing(2)));
    }
}
