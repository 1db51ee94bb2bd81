//! See [`ferrule_bench`].
#![forbid(unsafe_code)]

fn main() -> anyhow::Result<()> {
    ferrule_bench::main()
}
