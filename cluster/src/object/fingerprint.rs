use super::Object;
use std::{
    fmt::{self, Write as _},
    hash::{DefaultHasher, Hasher},
};

impl Object {
    /// A number that differs wherever the content does. Equal in all processes of
    /// one version of Ferrule, and not to be kept for another. Takes a few
    /// microseconds.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Text(DefaultHasher::new());
        // All of an object is in its debug text, and no kind can be forgotten.
        write!(hasher, "{self:?}").expect("a hasher takes everything");
        hasher.0.finish()
    }
}

/// Text on its way into a hash.
struct Text(DefaultHasher);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Service, ServicePort};

    #[test]
    fn content_alone_decides() {
        let service = |name: &str, port| {
            let port = ServicePort {
                name: name.into(),
                port,
                app_protocol: None,
            };
            Object::from(Service {
                ports: [port].into(),
                ..Service::default()
            })
        };
        let web = service("web", 80).fingerprint();
        assert_eq!(web, service("web", 80).fingerprint());
        assert_ne!(web, service("web", 81).fingerprint());
        assert_ne!(web, service("we", 80).fingerprint());
    }
}
