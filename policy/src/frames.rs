use bytes::Bytes;
use rustc_hash::FxHashSet;

/// Encoded policies, one allocation for all that are equal: most ports of most
/// pods have the same.
#[derive(Default)]
pub(crate) struct Frames(FxHashSet<Bytes>);

impl Frames {
    /// The shared copy of `frame`.
    pub(crate) fn share(&mut self, frame: Bytes) -> Bytes {
        if let Some(shared) = self.0.get(&frame) {
            return shared.clone();
        }
        self.0.insert(frame.clone());
        frame
    }

    /// Drops those that nobody else holds.
    pub(crate) fn sweep(&mut self) {
        self.0.retain(|frame| !frame.is_unique());
        if self.0.capacity() > 4 * self.0.len().max(64) {
            self.0.shrink_to_fit();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_cluster::stream::message;
    use ferrule_proto::inbound::PortSpec;

    fn frame(port: u32) -> Bytes {
        message(&PortSpec {
            workload: "ns:web".into(),
            port,
        })
    }

    #[test]
    fn equal_frames_are_one_allocation_until_nobody_holds_it() {
        let mut frames = Frames::default();
        let a = frames.share(frame(80));
        let b = frames.share(frame(80));
        assert_eq!(a.as_ptr(), b.as_ptr());
        drop(frames.share(frame(81)));
        assert_eq!(frames.len(), 2);
        frames.sweep();
        assert_eq!(frames.len(), 1);
        drop((a, b));
        frames.sweep();
        assert_eq!(frames.len(), 0);
    }
}
