//! gRPC messages with the flag and the length in front of each.

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;

/// The flag and the length.
pub(crate) const HEADER: usize = 5;

/// A message as it is sent, not compressed.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(HEADER + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("a request is a few kilobytes"));
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}

/// The frames that `all` consists of.
///
/// # Errors
///
/// When the last of them is not whole.
pub(crate) fn split(mut all: Bytes) -> Result<Vec<Bytes>> {
    let mut frames = Vec::new();
    while !all.is_empty() {
        let mut lengths = all.get(1..HEADER).context("a frame without a length")?;
        let length = HEADER + lengths.get_u32() as usize;
        ensure!(
            all.len() >= length,
            "a frame of {length} bytes in {}",
            all.len()
        );
        frames.push(all.split_to(length));
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::identity::CertifyRequest;

    #[test]
    fn frames_that_are_written_together_are_read_one_by_one() {
        let request = |token: &[u8]| CertifyRequest {
            token: token.to_owned(),
            ..CertifyRequest::default()
        };
        let frames = [&[7; 300][..], &[], &[1]].map(|token| frame(&request(token)));
        let all = Bytes::from(frames.concat());
        assert_eq!(split(all.clone()).unwrap(), frames);
        for cut in [1, HEADER, all.len() - 1] {
            assert!(split(all.slice(..cut)).is_err(), "cut at {cut}");
        }
    }
}
