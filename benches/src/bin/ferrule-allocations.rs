//! `make bench-allocations`: see [`ferrule_bench::allocations`].
#![forbid(unsafe_code)]

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() -> anyhow::Result<()> {
    ferrule_bench::allocations::main()
}
