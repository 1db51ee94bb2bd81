//! Prints the reference page of checks; `make docs` puts it into docs/.

fn main() {
    print!("{}", ferrule_cli::checks_reference());
}
