//! Prints the reference page of annotations; `make docs` puts it into docs/.

fn main() {
    print!("{}", ferrule_proxy_injector::reference());
}
