//! Ways to spoil bytes, for fuzzing: what is nearly right gets further into a parser
//! than noise does. The library's own tests include it, too.

use proptest::prelude::*;
use std::{fs, path::Path};

/// One change. Positions are shares of the length, so that they suit any.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Set(f64, u8),
    Flip(f64, u8),
    Insert(f64, Vec<u8>),
    Remove(f64, usize),
    Repeat(f64, usize),
    Truncate(f64),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |share: f64| (share * bytes.len() as f64) as usize;
        match self {
            Self::Set(share, value) => {
                let at = at(*share);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *value;
                }
            }
            Self::Flip(share, bit) => {
                let at = at(*share);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Insert(share, inserted) => {
                let at = at(*share);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Self::Remove(share, length) => {
                let at = at(*share);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Repeat(share, length) => {
                let at = at(*share);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Truncate(share) => bytes.truncate(at(*share)),
        }
    }
}

/// The files of a folder of the corpus, in the order of their names.
pub(crate) fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = fs::read_dir(corpus.join(folder)).expect("the corpus is there");
    let mut files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    files.sort();
    let read = files.iter().map(|file| fs::read(file).expect("readable"));
    read.collect()
}

/// Something of the corpus with up to eight changes, or noise.
pub(crate) fn spoilt(folder: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let share = || 0.0..1.0;
    // What frames are made of: lengths that are too long, indefinite, huge.
    let byte = prop_oneof![
        any::<u8>(),
        proptest::sample::select(vec![
            0, 0x30, 0x80, 0x81, 0x84, 0xa0, 0xff, b'.', b'"', b'-'
        ]),
    ];
    let mutation = prop_oneof![
        (share(), byte).prop_map(|(share, byte)| Mutation::Set(share, byte)),
        (share(), any::<u8>()).prop_map(|(share, bit)| Mutation::Flip(share, bit)),
        (share(), proptest::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(share, bytes)| Mutation::Insert(share, bytes)),
        (share(), 1..40_usize).prop_map(|(share, length)| Mutation::Remove(share, length)),
        (share(), 1..200_usize).prop_map(|(share, length)| Mutation::Repeat(share, length)),
        share().prop_map(Mutation::Truncate),
    ];
    let seeds = proptest::sample::select(corpus(folder));
    let mutated =
        (seeds, proptest::collection::vec(mutation, 0..8)).prop_map(|(mut bytes, mutations)| {
            for mutation in &mutations {
                mutation.apply(&mut bytes);
            }
            bytes
        });
    prop_oneof![9 => mutated, 1 => proptest::collection::vec(any::<u8>(), 0..2000)]
}
